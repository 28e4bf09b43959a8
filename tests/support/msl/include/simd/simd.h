// Metal's simd/simd.h: naga includes it and uses nothing of it.
