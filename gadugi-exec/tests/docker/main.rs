//! The Docker executor, with a real daemon.

mod adoption;
mod answers;
mod collecting;
mod confinement;
mod contract;
mod daemons;
mod harness;
mod home;
mod images;
mod relay;
mod running;
mod secrets;
mod transports;
