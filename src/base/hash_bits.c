#include <string.h>

#include "vgg11/base/hash.h"

/* Eight chains of 64 x 64 -> 128 bit products whose halves are folded together, as in wyhash: one product takes in 16 bytes,
 * and eight independent chains hide its latency. */
enum { LANES = 8, LANE_BYTES = 16, STRIPE_BYTES = LANES * LANE_BYTES };

/* Random bits: fractional digits of the square roots of the first 16 primes, with the last bit set. */
static const uint64_t start[LANES] = {
    UINT64_C(0x6a09e667f3bcc909), UINT64_C(0xbb67ae8584caa73b), UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1),
    UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f), UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179),
};
static const uint64_t secret[LANES] = {
    UINT64_C(0xcbbb9d5dc1059ed9), UINT64_C(0x629a292a367cd507), UINT64_C(0x9159015a3070dd17), UINT64_C(0x152fecd8f70e5939),
    UINT64_C(0x67332667ffc00b31), UINT64_C(0x8eb44a8768581511), UINT64_C(0xdb0c2e0d64f98fa7), UINT64_C(0x47b5481dbefa4fa5),
};

static inline uint64_t load_word(const unsigned char *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

static inline uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline void take_stripe(uint64_t lane[LANES], const unsigned char *data)
{
    for (int i = 0; i < LANES; i++)
        lane[i] = fold(lane[i] ^ load_word(data + i * LANE_BYTES), secret[i] ^ load_word(data + i * LANE_BYTES + 8));
}

uint64_t hash_bits(const void *data, size_t bytes)
{
    const unsigned char *next = data;
    uint64_t lane[LANES];
    memcpy(lane, start, sizeof lane);
    size_t left = bytes;
    for (; left >= STRIPE_BYTES; left -= STRIPE_BYTES, next += STRIPE_BYTES) take_stripe(lane, next);
    if (left > 0) {
        unsigned char last[STRIPE_BYTES] = {0};
        memcpy(last, next, left);
        take_stripe(lane, last);
    }
    uint64_t hash = (uint64_t)bytes ^ secret[0];
    for (int i = 0; i < LANES; i++) hash = fold(hash ^ lane[i], secret[i]);
    return fold(hash, secret[1]);
}
