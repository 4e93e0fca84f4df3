//! Log lines in the vendor's form.

use std::cell::Cell;

use jiff::Timestamp;

thread_local! {
    static IS_MUTE: Cell<bool> = const { Cell::new(false) };
}

/// Says no more on this thread: for a test that runs the upgrader inside its own process.
pub fn mute() {
    IS_MUTE.set(true);
}

/// `09:00:18.246 - message`, as the upgrade's own loggers write; a new line in it is printed as `\n`.
pub fn line(message: &str) {
    print(&format!("{} - {}", now(), message.replace('\n', "\\n")));
}

/// `09:00:17.963 [main] INFO  logger - message`, as all other loggers write.
pub fn other(level: &str, logger: &str, message: &str) {
    print(&format!(
        "{} [main] {level:<5} {logger} - {}",
        now(),
        message.replace('\n', "\\n")
    ));
}

/// Without a time: banners.
#[expect(
    clippy::print_stdout,
    reason = "a program whose output is its only voice"
)]
pub fn print(text: &str) {
    if !IS_MUTE.get() {
        println!("{text}");
    }
}

fn now() -> String {
    Timestamp::now().strftime("%H:%M:%S%.3f").to_string()
}
