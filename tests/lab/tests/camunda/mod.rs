//! The servers around Camunda 7 and its engines, each for real.

mod balancers;
mod databases;
mod engines;
