//! Real git repositories in a folder of their own, without the configuration of whoever runs the tests.
