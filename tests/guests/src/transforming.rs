//! Documents that it changes, well and badly.

use crate::{Guest, quoted};

#[expect(unsafe_code, reason = "generated bindings")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "transforming",
        with: {
            "liftlock:upgrade/types@0.1.0": crate::bindings::liftlock::upgrade::types,
        },
    });

    use super::Guest;
    export!(Guest);
}

use bindings::exports::liftlock::upgrade::transform::{self as exported, Document};

/// A member more in an object.
fn with(mut document: Document, member: &str) -> Document {
    document.source.pop();
    if document.source.len() > 1 {
        document.source.push(',');
    }
    document.source.push_str(member);
    document.source.push('}');
    document
}

static CALLS: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

/// Something that lives in the instance: how often it was called, the time, and what seeds a hash map.
fn surroundings() -> String {
    use std::hash::{BuildHasher as _, RandomState};
    let calls = CALLS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let now = std::time::SystemTime::now();
    let random = RandomState::new().hash_one(1);
    format!("{calls} {now:?} {random}")
}

impl exported::Guest for Guest {
    fn transform(name: String, mut batch: Vec<Document>) -> Vec<Result<Document, String>> {
        let poisoned = batch.iter().any(|one| one.source.contains("poison"));
        match name.as_str() {
            "identity" => batch.into_iter().map(Ok).collect(),
            "mark" => batch
                .into_iter()
                .map(|one| Ok(with(one, "\"marked\":true")))
                .collect(),
            "reject" => batch
                .into_iter()
                .map(|one| {
                    if one.source.contains("reject") {
                        Err(format!("not this one{}", crate::HOSTILE_TEXT))
                    } else {
                        Ok(one)
                    }
                })
                .collect(),
            "trap" if poisoned => panic!("poisoned"),
            "loop" if poisoned => loop {
                std::hint::black_box(0);
            },
            "allocate" if poisoned => {
                let mut all = Vec::new();
                loop {
                    all.push(std::hint::black_box(vec![1_u8; 1 << 20]));
                }
            }
            "huge" if poisoned => {
                let text = "x".repeat(900 << 10);
                batch
                    .into_iter()
                    .map(|one| Ok(with(one, &format!("\"x\":\"{text}\""))))
                    .collect()
            }
            "one-less" => {
                batch.pop();
                batch.into_iter().map(Ok).collect()
            }
            "one-more" => {
                let more = Document {
                    id: "more".into(),
                    source: "{}".into(),
                };
                batch.into_iter().chain([more]).map(Ok).collect()
            }
            "other-id" => {
                batch.reverse();
                batch.into_iter().map(Ok).collect()
            }
            "no-json" => batch
                .into_iter()
                .map(|one| {
                    Ok(Document {
                        source: "{".into(),
                        ..one
                    })
                })
                .collect(),
            "no-object" => batch
                .into_iter()
                .map(|one| {
                    Ok(Document {
                        source: "[1]".into(),
                        ..one
                    })
                })
                .collect(),
            "surroundings" => {
                let seen = surroundings();
                batch
                    .into_iter()
                    .map(|one| Ok(with(one, &format!("\"seen\":{}", quoted(&seen)))))
                    .collect()
            }
            _ => batch.into_iter().map(Ok).collect(),
        }
    }
}
