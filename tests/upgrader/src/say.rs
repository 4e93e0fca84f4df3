//! Log lines in the vendor's form.

use jiff::Timestamp;

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
    println!("{text}");
}

fn now() -> String {
    Timestamp::now().strftime("%H:%M:%S%.3f").to_string()
}
