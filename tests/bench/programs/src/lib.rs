//! The programs that are measured, as dependencies.
