//! A checksum of a set of documents that does not depend on their order.
//!
//! Each document is hashed by itself with SHA-256, and the hashes are added modulo 2^256. So an index is read once,
//! in the order in which the server has it, with 32 bytes of memory, and two indices with the same documents have
//! the same sum however many shards they have. It shows loss, doubles and changes; it is no defence against
//! someone who makes up documents so that sums meet.

use liftlock_types::hex;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The sum so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sum([u8; 32]);

impl Sum {
    /// An id alone.
    pub(crate) fn add_id(&mut self, id: &str) {
        self.add(Sha256::digest(id.as_bytes()).into());
    }

    /// An id with its source. Members of an object have no order, so they are hashed by name.
    pub(crate) fn add_document(&mut self, id: &str, source: &Value) {
        let mut hash = Sha256::new();
        // The length keeps id and source apart.
        hash.update((id.len() as u64).to_be_bytes());
        hash.update(id.as_bytes());
        canonical(source, &mut |bytes| hash.update(bytes));
        self.add(hash.finalize().into());
    }

    /// An id with its source as the text that it is: for sources that were sent and are read back as they were sent.
    pub(crate) fn add_text(&mut self, id: &str, source: &str) {
        let mut hash = Sha256::new();
        hash.update((id.len() as u64).to_be_bytes());
        hash.update(id.as_bytes());
        hash.update(source.as_bytes());
        self.add(hash.finalize().into());
    }

    /// All that is in another sum.
    pub(crate) fn add_sum(&mut self, other: &Self) {
        self.add(other.0);
    }

    /// Lower-case hexadecimal.
    pub(crate) fn hex(&self) -> String {
        hex(&self.0)
    }

    fn add(&mut self, hash: [u8; 32]) {
        let mut carry = 0_u16;
        for (sum, byte) in self.0.iter_mut().zip(hash).rev() {
            let total = u16::from(*sum) + u16::from(byte) + carry;
            *sum = total.to_be_bytes()[1];
            carry = total >> 8;
        }
    }
}

/// The value as text with the members of every object in order of name.
pub(crate) fn canonical(value: &Value, out: &mut impl FnMut(&[u8])) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            out(b"{");
            for (n, (name, value)) in members.into_iter().enumerate() {
                if n > 0 {
                    out(b",");
                }
                out(Value::from(name.as_str()).to_string().as_bytes());
                out(b":");
                canonical(value, out);
            }
            out(b"}");
        }
        Value::Array(elements) => {
            out(b"[");
            for (n, element) in elements.iter().enumerate() {
                if n > 0 {
                    out(b",");
                }
                canonical(element, out);
            }
            out(b"]");
        }
        scalar => out(scalar.to_string().as_bytes()),
    }
}

/// SHA-256 of a value's canonical text.
pub(crate) fn hash_of(value: &Value) -> String {
    let mut hash = Sha256::new();
    canonical(value, &mut |bytes| hash.update(bytes));
    format!("sha256:{}", hex(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sum(documents: &[(&str, Value)]) -> Sum {
        let mut sum = Sum::default();
        for (id, source) in documents {
            sum.add_document(id, source);
        }
        sum
    }

    #[test]
    fn neither_the_order_of_documents_nor_of_members_counts() {
        let a = ("1", json!({"x": 1, "y": {"a": [1, 2], "b": null}}));
        let same = ("1", json!({"y": {"b": null, "a": [1, 2]}, "x": 1}));
        let b = ("2", json!({}));
        assert_eq!(sum(&[a.clone(), b.clone()]), sum(&[b, same]));
    }

    #[test]
    fn every_difference_counts() {
        let base = sum(&[("1", json!({"x": [1, 2]})), ("2", json!({}))]);
        for other in [
            sum(&[("1", json!({"x": [2, 1]})), ("2", json!({}))]),
            sum(&[("1", json!({"x": [1, 2]}))]),
            sum(&[
                ("1", json!({"x": [1, 2]})),
                ("2", json!({})),
                ("2", json!({})),
            ]),
            sum(&[("1", json!({"x": "1"})), ("2", json!({}))]),
            sum(&[("2", json!({"x": [1, 2]})), ("1", json!({}))]),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn sums_of_parts_add_up_to_the_sum_of_all() {
        let of = |texts: &[(&str, &str)]| {
            let mut sum = Sum::default();
            for (id, text) in texts {
                sum.add_text(id, text);
            }
            sum
        };
        let all = of(&[("1", "{}"), ("2", r#"{"x":1.50}"#), ("3", "{}")]);
        let mut parts = of(&[("3", "{}"), ("1", "{}")]);
        parts.add_sum(&of(&[("2", r#"{"x":1.50}"#)]));
        assert_eq!(parts, all);
        assert_ne!(of(&[("2", r#"{"x":1.5}"#), ("1", "{}"), ("3", "{}")]), all);
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(serde_json::from_str::<Sum>(&text).unwrap(), all);
    }

    #[test]
    fn carries_over_all_bytes() {
        let mut sum = Sum([0xff; 32]);
        let mut one = [0; 32];
        one[31] = 1;
        sum.add(one);
        assert_eq!(sum, Sum([0; 32]));
    }
}
