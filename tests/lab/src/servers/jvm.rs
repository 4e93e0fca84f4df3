//! How a server's JVM is set up.

/// What a server's JVM is good at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jvm {
    /// Starting: the first compiler alone, one collector thread, a small heap. Servers of tests live for minutes.
    Quick,
    /// Working: all compilers, and heap and collector as both vendors ship them (`config/jvm.options`). For measuring.
    AsShipped,
}

impl Jvm {
    /// Its flags; `heap` is that of [`Self::Quick`].
    pub(super) fn flags(self, heap: [&'static str; 2]) -> Vec<&'static str> {
        let [least, most] = heap;
        match self {
            Self::Quick => vec![least, most, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"],
            Self::AsShipped => vec![
                "-Xms1g",
                "-Xmx1g",
                "-XX:+UseG1GC",
                "-XX:G1ReservePercent=25",
                "-XX:InitiatingHeapOccupancyPercent=30",
            ],
        }
    }
}
