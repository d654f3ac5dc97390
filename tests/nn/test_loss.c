/* Softmax cross-entropy against the definition in long double, finite differences, and numbers at the edge. */
#include <math.h>

#include "support/support.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/model.h"

enum { SAMPLES = 9 };

static const uint8_t labels[SAMPLES] = {3, 0, 9, 1, 1, 5, 7, 2, 4};

static long double definition(const float *logits, int label)
{
    long double sum = 0;
    for (int k = 0; k < MODEL_CLASSES; k++) sum += expl((long double)logits[k]);
    return logl(sum) - logits[label];
}

START_TEST(loss_is_the_definition)
{
    float logits[SAMPLES * MODEL_CLASSES], gradient[SAMPLES * MODEL_CLASSES];
    long double expected = 0;
    support_fill(logits, SAMPLES * MODEL_CLASSES, 1);
    for (int i = 0; i < SAMPLES * MODEL_CLASSES; i++) logits[i] *= 8;
    for (int i = 0; i < SAMPLES; i++) expected += definition(logits + i * MODEL_CLASSES, labels[i]);
    loss_result result = loss_softmax_cross_entropy(logits, labels, SAMPLES, 0, 1.0f, gradient);
    ck_assert_double_eq_tol(result.loss_sum, (double)expected, 1e-12 * (double)expected);
}
END_TEST

START_TEST(gradient_is_the_difference_quotient)
{
    float logits[MODEL_CLASSES], gradient[MODEL_CLASSES];
    const float scale = 0.25f, step = 1.0f / 128;
    support_fill(logits, MODEL_CLASSES, 2);
    loss_softmax_cross_entropy(logits, labels, 1, 0, scale, gradient);
    for (int k = 0; k < MODEL_CLASSES; k++) {
        float kept = logits[k];
        logits[k] = kept + step;
        double above = loss_softmax_cross_entropy(logits, labels, 1, 0, scale, NULL).loss_sum, up = logits[k];
        logits[k] = kept - step;
        double below = loss_softmax_cross_entropy(logits, labels, 1, 0, scale, NULL).loss_sum, down = logits[k];
        logits[k] = kept;
        ck_assert_double_eq_tol(gradient[k], scale * (above - below) / (up - down), 1e-5);
    }
}
END_TEST

START_TEST(gradient_sums_to_zero_and_may_overwrite_the_logits)
{
    float logits[SAMPLES * MODEL_CLASSES], apart[SAMPLES * MODEL_CLASSES];
    support_fill(logits, SAMPLES * MODEL_CLASSES, 3);
    loss_softmax_cross_entropy(logits, labels, SAMPLES, 0, 1.0f, apart);
    loss_softmax_cross_entropy(logits, labels, SAMPLES, 0, 1.0f, logits);
    for (int i = 0; i < SAMPLES; i++) {
        double sum = 0;
        for (int k = 0; k < MODEL_CLASSES; k++) {
            ck_assert(logits[i * MODEL_CLASSES + k] == apart[i * MODEL_CLASSES + k]);
            sum += apart[i * MODEL_CLASSES + k];
        }
        ck_assert_double_eq_tol(sum, 0, 1e-6);
    }
}
END_TEST

/* The definition: the cross-entropy of target and softmax. */
static long double smoothed(const float *logits, int label, long double smoothing)
{
    long double loss = (1 - smoothing) * definition(logits, label);
    for (int k = 0; k < MODEL_CLASSES; k++) loss += smoothing / MODEL_CLASSES * definition(logits, k);
    return loss;
}

START_TEST(smoothed_labels_share_the_target)
{
    float logits[MODEL_CLASSES], gradient[MODEL_CLASSES];
    const double smoothing = 0.1;
    const float step = 1.0f / 128;
    support_fill(logits, MODEL_CLASSES, 4);
    loss_result result = loss_softmax_cross_entropy(logits, labels, 1, smoothing, 1.0f, gradient);
    ck_assert_double_eq_tol(result.loss_sum, (double)smoothed(logits, labels[0], smoothing), 1e-12);
    for (int k = 0; k < MODEL_CLASSES; k++) {
        float kept = logits[k];
        logits[k] = kept + step;
        long double above = smoothed(logits, labels[0], smoothing), up = logits[k];
        logits[k] = kept - step;
        long double below = smoothed(logits, labels[0], smoothing), down = logits[k];
        logits[k] = kept;
        ck_assert_double_eq_tol(gradient[k], (double)((above - below) / (up - down)), 1e-5);
    }
}
END_TEST

START_TEST(large_logits_do_not_overflow)
{
    float logits[MODEL_CLASSES] = {0, 3e38f, -3e38f}, gradient[MODEL_CLASSES];
    uint8_t right = 1, wrong = 0;
    ck_assert(loss_softmax_cross_entropy(logits, &right, 1, 0, 1.0f, gradient).loss_sum == 0);
    ck_assert(gradient[1] == 0);
    double loss = loss_softmax_cross_entropy(logits, &wrong, 1, 0, 1.0f, gradient).loss_sum;
    ck_assert_double_eq_tol(loss, 3e38, 1e32);
    ck_assert(gradient[0] == -1 && gradient[1] == 1);
}
END_TEST

START_TEST(what_is_not_finite_stays_visible)
{
    const float bad[] = {NAN, INFINITY};
    for (int b = 0; b < 2; b++) {
        for (int place = 0; place < MODEL_CLASSES; place++) {
            float logits[MODEL_CLASSES] = {0}, gradient[MODEL_CLASSES];
            uint8_t label = 4;
            logits[place] = bad[b];
            ck_assert(isnan(loss_softmax_cross_entropy(logits, &label, 1, 0, 1.0f, gradient).loss_sum));
            ck_assert(isnan(gradient[place]));
        }
    }
}
END_TEST

START_TEST(the_first_of_equal_logits_counts)
{
    float logits[2 * MODEL_CLASSES] = {0};
    const uint8_t first[2] = {0, 0}, second[2] = {1, 6};
    logits[MODEL_CLASSES + 6] = 1;
    ck_assert_uint_eq(loss_softmax_cross_entropy(logits, first, 2, 0, 1, NULL).correct, 1);
    ck_assert_uint_eq(loss_softmax_cross_entropy(logits, second, 2, 0, 1, NULL).correct, 1);
}
END_TEST

START_TEST(no_samples_no_loss)
{
    loss_result result = loss_softmax_cross_entropy(NULL, NULL, 0, 0, 1, NULL);
    ck_assert(result.loss_sum == 0 && result.correct == 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loss");
    TCase *tests = tcase_create("loss");
    tcase_add_test(tests, loss_is_the_definition);
    tcase_add_test(tests, gradient_is_the_difference_quotient);
    tcase_add_test(tests, gradient_sums_to_zero_and_may_overwrite_the_logits);
    tcase_add_test(tests, smoothed_labels_share_the_target);
    tcase_add_test(tests, large_logits_do_not_overflow);
    tcase_add_test(tests, what_is_not_finite_stays_visible);
    tcase_add_test(tests, the_first_of_equal_logits_counts);
    tcase_add_test(tests, no_samples_no_loss);
    suite_add_tcase(suite, tests);
    return support_run(suite, NULL);
}
