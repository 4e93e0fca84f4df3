//! Just enough of the binary format to write components that no compiler would.

/// An empty component.
pub const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

/// An empty core module.
pub const MODULE: &[u8] = b"\0asm\x01\0\0\0";

const CORE_MODULE: u8 = 1;
const CORE_INSTANCE: u8 = 2;
const NESTED_COMPONENT: u8 = 4;

/// An unsigned number as the format writes it.
pub fn leb(mut number: u64) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            out.push(byte);
            return out;
        }
        out.push(byte | 0x80);
    }
}

/// A section.
pub fn section(id: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![id];
    out.extend(leb(content.len() as u64));
    out.extend(content);
    out
}

/// A core module of these sections.
pub fn module(sections: &[Vec<u8>]) -> Vec<u8> {
    let mut out = MODULE.to_vec();
    sections.iter().for_each(|section| out.extend(section));
    out
}

/// Sections of a module with functions of no parameter and no result.
pub fn functions(bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let count = leb(bodies.len() as u64);
    let mut types = count.clone();
    types.extend(bodies.iter().map(|_| 0));
    let mut code = count;
    for body in bodies {
        // No locals before it, an end behind it.
        code.extend(leb(body.len() as u64 + 2));
        code.push(0);
        code.extend(body);
        code.push(0x0b);
    }
    vec![
        section(1, &[1, 0x60, 0, 0]),
        section(3, &types),
        section(10, &code),
    ]
}

/// A module whose first function runs as soon as it is instantiated, with these sections between types and code.
pub fn starting(body: &[u8], between: &[Vec<u8>]) -> Vec<u8> {
    let mut parts = functions(&[body.to_vec()]);
    let code = parts.pop();
    parts.extend(between.iter().cloned());
    parts.push(section(8, &[0]));
    parts.extend(code);
    module(&parts)
}

/// The top-level sections of a component: id and content.
fn sections(component: &[u8]) -> Vec<(u8, &[u8])> {
    let mut found = Vec::new();
    let mut rest = component.get(COMPONENT.len()..).unwrap_or_default();
    while let [id, after @ ..] = rest {
        let (mut length, mut shift, mut at) = (0_usize, 0, 0);
        while let Some(byte) = after.get(at) {
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let Some(content) = after.get(at..at + length) else {
            break;
        };
        found.push((*id, content));
        rest = &after[at + length..];
    }
    found
}

/// A component with a core module behind all it has, instantiated so many times.
pub fn with_module(component: &[u8], module: &[u8], instances: u32) -> Vec<u8> {
    let known = sections(component)
        .iter()
        .filter(|(id, _)| *id == CORE_MODULE)
        .count();
    let mut out = component.to_vec();
    out.extend(section(CORE_MODULE, module));
    let mut content = leb(u64::from(instances));
    for _ in 0..instances {
        content.push(0);
        content.extend(leb(known as u64));
        content.push(0);
    }
    out.extend(section(CORE_INSTANCE, &content));
    out
}

/// Components in each other.
pub fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(COMPONENT.to_vec(), |inner, _| {
        let mut outer = COMPONENT.to_vec();
        outer.extend(section(NESTED_COMPONENT, &inner));
        outer
    })
}

/// A component that imports one empty instance of this name.
pub fn importing(name: &str) -> Vec<u8> {
    let mut out = COMPONENT.to_vec();
    out.extend(section(7, &[1, 0x42, 0]));
    let mut content = vec![1, 0];
    content.extend(leb(name.len() as u64));
    content.extend(name.as_bytes());
    content.extend([5, 0]);
    out.extend(section(10, &content));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_behind_a_component_is_found_there() {
        let with = with_module(COMPONENT, &starting(&[], &[]), 2);
        let ids: Vec<u8> = sections(&with).iter().map(|(id, _)| *id).collect();
        assert_eq!(ids, [CORE_MODULE, CORE_INSTANCE]);
        assert_eq!(leb(300), [0xac, 2]);
    }
}
