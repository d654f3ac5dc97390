/* One convolution or dense problem with made-up operands, on which any row of the table can be run. */
#ifndef VGG11_TESTS_CONV_CASE_H
#define VGG11_TESTS_CONV_CASE_H

#include "vgg11/conv/conv.h"

/* direct-bf16-amx on emulated tiles, which accepts what that row does, on any machine. */
extern const conv_algorithm conv_bf16_amx_emulated;

/* All rows to be tested: that one, unless VGG11_CPU names a level, then the table's. The reference is the last; ended by NULL. */
const conv_algorithm *const *conv_case_rows(void);

typedef struct {
    conv_problem problem;
    int n;
    size_t x_count, w_count, b_count, y_count; /* for n images; dx, dw, db and dy have the same */
    float *x, *w, *b, *dy;
    uint8_t *pool_argmax; /* y_count; forward overwrites it if problem.pool */
} conv_case;

/* Operands in [-1, 1), zeros of both signs in x if problem.input_is_relu, and any of the four pixels chosen; the same for the same seed. */
void conv_case_open(conv_case *c, const conv_problem *problem, int n, unsigned seed);
void conv_case_close(conv_case *c);

/* What a pass writes: one block, y or dx, or dw with db behind it. The caller frees it with free(). */
size_t conv_case_result_count(const conv_case *c, conv_pass pass);

/* Runs `algorithm` with `threads` threads; NULL if it declines, with its reason in vgg_message(). Results and workspace are
 * NaN beforehand, and what lies behind them must stay as it was. */
float *conv_case_run(const conv_case *c, const conv_algorithm *algorithm, conv_pass pass, int threads);

#endif
