/* Template: 2x2 maximum pooling and its gradient, conversion to bfloat16 and back, and loads and stores of the part of a vector
 * that is left at the end of a row of channels. */

SIMD_INLINE size_t vector_count(size_t left) { return size_min(left, SIMD_WIDTH); }

typedef uint8_t simd_bytes __attribute__((vector_size(SIMD_WIDTH)));

SIMD_INLINE simd_value load_most(const float *from, size_t count)
{
    return count == SIMD_WIDTH ? load(from) : load_part(from, count);
}

SIMD_INLINE void store_most(float *to, simd_value value, size_t count)
{
    if (count == SIMD_WIDTH)
        store(to, value);
    else
        store_part(to, value, count);
}

SIMD_INLINE simd_indices load_argmax(const uint8_t *from, size_t count)
{
    simd_bytes places = {0};
    memcpy(&places, from, count == SIMD_WIDTH ? SIMD_WIDTH : count);
    return __builtin_convertvector(places, simd_indices);
}

SIMD_INLINE void store_argmax(uint8_t *to, simd_indices places, size_t count)
{
    simd_bytes bytes = __builtin_convertvector(places, simd_bytes);
    memcpy(to, &bytes, count == SIMD_WIDTH ? SIMD_WIDTH : count);
}

/* The largest of the four of a window, and its place, the first of equals. NaN is larger than all. */
SIMD_INLINE simd_value largest(const simd_value window[4], simd_indices *place)
{
    simd_value best = window[0];
    *place = (simd_indices){0};
    SIMD_UNROLL for (int p = 1; p < 4; p++)
    {
        simd_indices wins = (window[p] > best) | (window[p] != window[p]);
        best = (simd_value)(((simd_indices)window[p] & wins) | ((simd_indices)best & ~wins));
        *place = (wins & p) | (*place & ~wins);
    }
    return best;
}

SIMD_INLINE void pool_vector(float *y, uint8_t *pool_argmax, const float *const window[4], size_t i, size_t count, bool relu)
{
    simd_value values[4];
    simd_indices place;
    SIMD_UNROLL for (int p = 0; p < 4; p++)
    {
        simd_value value = load_most(window[p] + i, count);
        values[p] = relu ? rectify(value) : value;
    }
    store_most(y + i, largest(values, &place), count);
    if (pool_argmax) store_argmax(pool_argmax + i, place, count);
}

static void pool(float *y, uint8_t *pool_argmax, const float *const window[4], size_t count, bool relu)
{
    size_t i = 0;
    for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH) pool_vector(y, pool_argmax, window, i, SIMD_WIDTH, relu);
    if (i < count) pool_vector(y, pool_argmax, window, i, count - i, relu);
}

SIMD_INLINE void unpool_vector(float *const window[4], const float *y, const uint8_t *pool_argmax, size_t i, size_t count)
{
    simd_indices value = (simd_indices)load_most(y + i, count), place = load_argmax(pool_argmax + i, count);
    SIMD_UNROLL for (int p = 0; p < 4; p++) store_most(window[p] + i, (simd_value)(value & (place == p)), count);
}

static void unpool(float *const window[4], const float *y, const uint8_t *pool_argmax, size_t count)
{
    size_t i = 0;
    for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH) unpool_vector(window, y, pool_argmax, i, SIMD_WIDTH);
    if (i < count) unpool_vector(window, y, pool_argmax, i, count - i);
}

typedef uint16_t simd_halves __attribute__((vector_size(SIMD_WIDTH * 2)));
typedef uint32_t simd_bits __attribute__((vector_size(SIMD_WIDTH * 4)));

/* Rounds like bf16_round(), unless the instruction set has an instruction for it. */
SIMD_INLINE simd_halves round_halves(simd_value value)
{
#ifdef SIMD_ROUND
    return SIMD_ROUND(value);
#else
    simd_bits bits = (simd_bits)value;
    simd_bits rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16, quiet = (bits >> 16) | 0x40u;
    simd_bits nan = (simd_bits)((bits & 0x7fffffffu) > 0x7f800000u);
    return __builtin_convertvector((quiet & nan) | (rounded & ~nan), simd_halves);
#endif
}

SIMD_INLINE void store_halves(uint16_t *to, simd_value value, size_t count)
{
    simd_halves halves = round_halves(value);
    memcpy(to, &halves, count == SIMD_WIDTH ? sizeof halves : count * sizeof *to);
}

SIMD_INLINE simd_value load_halves(const uint16_t *from, size_t count)
{
    simd_halves halves = {0};
    memcpy(&halves, from, count == SIMD_WIDTH ? sizeof halves : count * sizeof *from);
    return (simd_value)(__builtin_convertvector(halves, simd_bits) << 16);
}

static void round_to_bf16(uint16_t *to, const float *from, size_t count)
{
    size_t i = 0;
    for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH) store_halves(to + i, load(from + i), SIMD_WIDTH);
    store_halves(to + i, load_part(from + i, count - i), count - i);
}

static void widen_bf16(float *to, const uint16_t *from, size_t count)
{
    size_t i = 0;
    for (; i + SIMD_WIDTH <= count; i += SIMD_WIDTH) store(to + i, load_halves(from + i, SIMD_WIDTH));
    store_part(to + i, load_halves(from + i, count - i), count - i);
}
