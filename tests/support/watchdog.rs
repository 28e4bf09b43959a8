//! Tests that must end, and tests that run in a process of their own.

use std::{
    process::{Command, Output},
    sync::mpsc,
    time::Duration,
};

/// Ends the process with a message if `work` takes longer: a deadlock is a failure, not a test run that hangs.
pub fn within<T>(limit: Duration, what: &'static str, work: impl FnOnce() -> T) -> T {
    let (done, watched) = mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        if watched.recv_timeout(limit) == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("{what} did not end in {limit:?}");
            std::process::exit(97);
        }
    });
    let result = work();
    drop(done);
    watchdog.join().expect("the watchdog");
    result
}

/// Whether this process was started by [`alone`] for this test.
pub fn is_alone(test: &str) -> bool {
    std::env::var("LOGUP_TEST_ALONE").is_ok_and(|alone| alone == test)
}

/// Runs one test of this binary again, in a process of its own, with more environment variables.
pub fn alone(test: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(std::env::current_exe().expect("this test's program"));
    command.args(["--exact", test, "--nocapture", "--test-threads", "1"]).env("LOGUP_TEST_ALONE", test);
    command.envs(variables.iter().copied());
    command.output().expect("the program starts")
}

/// [`alone`], for a test that must pass.
pub fn passes_alone(test: &str, variables: &[(&str, &str)]) {
    let output = alone(test, variables);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // A name that no test has runs nothing, which succeeds.
    let passed = output.status.success() && text(&output.stdout).contains("test result: ok. 1 passed");
    assert!(passed, "{test} with {variables:?}:\n{}\n{}", text(&output.stdout), text(&output.stderr));
}
