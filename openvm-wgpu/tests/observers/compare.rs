//! Results of one executor beside the device's.

/// Bindings begin at multiples of 64 words: what nothing writes of results is less than that in a row, and not their beginning.
const GAP: usize = 63;

/// Whether an executor gave what the device gave, where it wrote; its buffers were full of `poison`.
///
/// # Errors
/// Which word differs, or was to be written and is not.
pub fn compare(words: &[u32], device: &[u32], poison: u32) -> Result<(), String> {
    if words.len() != device.len() {
        return Err(format!("{} words for {}", words.len(), device.len()));
    }
    let mut unwritten = GAP;
    for (i, (&word, &expected)) in words.iter().zip(device).enumerate() {
        unwritten = if word == poison { unwritten + 1 } else { 0 };
        if unwritten > GAP {
            return Err(format!("word {i} of {} is not written", words.len()));
        }
        if word != poison && word != expected {
            return Err(format!("word {i} of {} differs", words.len()));
        }
    }
    Ok(())
}

#[test]
fn what_is_not_written_is_found() {
    let device = [5; 100];
    let mut words = device;
    assert!(compare(&words, &device, 9).is_ok());
    words[1..64].fill(9);
    assert!(compare(&words, &device, 9).is_ok(), "a gap");
    words[64] = 9;
    assert!(compare(&words, &device, 9).is_err(), "more than a gap");
    assert!(compare(&[9, 5], &[5, 5], 9).is_err(), "the beginning");
    assert!(compare(&[5, 6], &[5, 5], 9).is_err(), "another word");
}
