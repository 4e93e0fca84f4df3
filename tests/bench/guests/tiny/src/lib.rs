//! The component that the peers are compared with: text in, text out, both ways.

#[expect(unsafe_code, reason = "generated bindings")]
mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "tiny" });

    use super::Tiny;
    export!(Tiny);
}

use bindings::bench::tiny::host;

struct Tiny;

impl bindings::Guest for Tiny {
    fn greet(text: String) -> String {
        text
    }

    fn ask(times: u64, text: String) -> u64 {
        (0..times).map(|_| host::echo(&text).len() as u64).sum()
    }
}
