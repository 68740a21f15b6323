//! The same as `gadugi-shim`, for the tests of this package.

fn main() {
    #[cfg(target_os = "linux")]
    gadugi_exec::shim::main_if_requested();
}
