//! The Docker executor, with a real daemon.

mod adoption;
mod answers;
mod collecting;
mod confinement;
mod contract;
mod daemons;
mod home;
mod images;
mod relay;
mod running;
mod scene;
mod secrets;
mod transports;
