//! Device words and p3 field elements: the same bits.
//!
//! A device word is a BabyBear element times `2^32 mod P`, in `[0, P)`: Montgomery form, which is what p3 holds in memory. An `EF`
//! element is four words, coefficient of `X^0` first. So a trace crosses to the device as it is.

use p3_baby_bear::BabyBear;
use p3_field::{BasedVectorSpace, PrimeCharacteristicRing, extension::BinomialExtensionField};

/// BabyBear, `Z / P`.
pub type F = BabyBear;
/// The challenge field `F[X] / (X^4 - 11)`.
pub type EF = BinomialExtensionField<BabyBear, 4>;

/// `15 * 2^27 + 1`.
pub const P: u32 = 0x7800_0001;

/// Words per `EF` element.
pub const EXT_WORDS: usize = 4;

/// A word that is no field element; results are filled with it before a call writes them.
pub const NOT_AN_ELEMENT: u32 = u32::MAX;

const _: () = assert!(size_of::<F>() == 4 && align_of::<F>() == align_of::<u32>());
const _: () = assert!(size_of::<EF>() == 4 * EXT_WORDS);

/// The words of field elements, without a copy.
#[expect(unsafe_code, reason = "p3 does not give its elements' words away")]
pub fn words(elements: &[F]) -> &[u32] {
    // SAFETY: p3's MontyField31 is a #[repr(transparent)] u32 (its marker field is zero-sized).
    unsafe { std::slice::from_raw_parts(elements.as_ptr().cast(), elements.len()) }
}

/// The word of one field element.
pub fn word(element: F) -> u32 {
    words(std::slice::from_ref(&element))[0]
}

/// The four words of an extension element.
pub fn ext_words(element: EF) -> [u32; EXT_WORDS] {
    let coefficients: &[F] = element.as_basis_coefficients_slice();
    words(coefficients).try_into().expect("EF has four coefficients")
}

/// The field element of a word below `P`, or `None`.
#[expect(unsafe_code, reason = "p3 makes an element of a canonical value only, by a multiplication")]
pub fn from_word(word: u32) -> Option<F> {
    // SAFETY: as in `words`; every u32 is a valid bit pattern, and only reduced ones are let through.
    (word < P).then(|| unsafe { std::mem::transmute::<u32, F>(word) })
}

/// Copies words below `P` to as many elements, and says whether all were; nothing is copied if not.
#[expect(unsafe_code, reason = "p3 makes an element of a canonical value only, by a multiplication")]
pub fn copy_words(words: &[u32], to: &mut [F]) -> bool {
    assert_eq!(words.len(), to.len());
    if words.iter().fold(0, |most, &word| most.max(word)) >= P {
        return false;
    }
    // SAFETY: as in `words`; both have as many words, all of them reduced, and do not overlap.
    unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), to.as_mut_ptr().cast(), words.len()) };
    true
}

/// The extension element of four words below `P`, or `None`.
pub fn ext_from_words(words: &[u32]) -> Option<EF> {
    let mut coefficients = [F::ZERO; EXT_WORDS];
    for (coefficient, &word) in coefficients.iter_mut().zip(words) {
        *coefficient = from_word(word)?;
    }
    Some(EF::from_basis_coefficients_fn(|i| coefficients[i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_montgomery_form() {
        for canonical in [0u32, 1, 2, 11, P - 1] {
            let expected = ((u64::from(canonical) << 32) % u64::from(P)) as u32;
            let element = F::from_u32(canonical);
            assert_eq!(word(element), expected);
            assert_eq!(from_word(expected), Some(element));
        }
        assert_eq!(from_word(P), None);
        assert_eq!(from_word(NOT_AN_ELEMENT), None);
        let mut elements = [F::ZERO; 2];
        assert!(!copy_words(&[word(F::TWO), P], &mut elements) && elements == [F::ZERO; 2]);
        assert!(copy_words(&[word(F::ONE), P - 1], &mut elements));
        assert_eq!(elements.map(word), [word(F::ONE), P - 1]);
    }

    #[test]
    fn extension_words_are_the_coefficients_in_order() {
        let element = EF::from_basis_coefficients_fn(|i| F::from_usize(i + 7));
        let words = ext_words(element);
        assert_eq!(words, std::array::from_fn(|i| word(F::from_usize(i + 7))));
        assert_eq!(ext_from_words(&words), Some(element));
        assert_eq!(ext_from_words(&[0, P, 0, 0]), None);
    }

    #[test]
    fn shader_constants_follow_from_p() {
        assert_eq!(P.wrapping_mul(0x8800_0001), 1);
        assert_eq!(((1u128 << 64) % u128::from(P)) as u32, 0x45dd_dde3);
        assert_eq!(word(F::ONE), 0x0fff_fffe);
        assert_eq!(word(F::from_u32(11)), 0x37ff_ffe9);
    }
}
