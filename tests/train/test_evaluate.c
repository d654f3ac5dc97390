/* Evaluation shared by ranks: every sample counts exactly once, and the result is that of one processor. */
#include "vgg11/train/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/forward.h"
#include "train/runs.h"
#include "vgg11/nn/initialize.h"
#include "vgg11/nn/loss.h"
#include "vgg11/nn/model.h"
#include "vgg11/train/shared_dataset.h"

enum { SAMPLES = 21, CAPACITY = 4 };

static float *weights;
static network *net;
static shared_dataset test;
static normalization pixels;

static void set_up(void)
{
    network_config config = {.batch_capacity = CAPACITY, .threads = 1};
    weights = runs_flat();
    initializer_find("he")->fill(3, weights);
    ranks_assert(network_create(&config, &net) == VGG_OK, "network");
    network_prepare(net, weights);
    vgg_status status = shared_dataset_open(ranks, VGG_TEST_DATA, DATASET_TEST, SAMPLES, "bilinear", false, &test);
    ranks_assert(status == VGG_OK, vgg_message());
    normalization_find("standard")->fill(&pixels, test.histogram);
}

static void tear_down(void)
{
    shared_dataset_close(&test);
    network_destroy(net);
    free(weights);
}

/* Which images these are depends on the order of the samples on no number of ranks: sure answers come first, and of equals the first. */
static void expect_mistake(evaluation_mistakes *expected, uint32_t image, uint8_t label, const float *logits)
{
    double probability[DATASET_CLASSES];
    uint32_t answer = (uint32_t)loss_first_largest(logits), place = 0;
    loss_softmax(logits, probability);
    if (answer == label) return;
    while (place < expected->count && expected->list[place].probability >= probability[answer]) place++;
    for (uint32_t i = EVALUATION_MISTAKES - 1; i > place; i--) expected->list[i] = expected->list[i - 1];
    if (place < EVALUATION_MISTAKES)
        expected->list[place] = (evaluation_mistake){probability[answer], image, label, (uint16_t)answer};
    if (expected->count < EVALUATION_MISTAKES) expected->count++;
}

static bool mistakes_agree(const evaluation_mistakes *a, const evaluation_mistakes *b)
{
    if (a->count != b->count) return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const evaluation_mistake *x = &a->list[i], *y = &b->list[i];
        if (x->image != y->image || x->label != y->label || x->answer != y->answer) return false;
        if (fabs(x->probability - y->probability) > 1e-5) return false;
    }
    return true;
}

/* One sample after another, on this rank alone; the prediction is the label for which the loss finds it correct. */
static void evaluate_alone(const dataset *set, evaluation *result)
{
    float input[DATASET_PIXELS];
    memset(result, 0, sizeof *result);
    for (uint32_t i = 0; i < set->count; i++) {
        uint8_t label;
        batch_fill(set, &pixels, &i, 1, input, &label);
        const float *logits = forward_images(net, weights, input, 1);
        result->loss += loss_softmax_cross_entropy(logits, &label, 1, 0, 0, NULL).loss_sum / set->count;
        result->samples++;
        expect_mistake(&result->mistakes, i, label, logits);
        for (uint8_t k = 0; k < DATASET_CLASSES; k++)
            result->confusion[label][k] += loss_softmax_cross_entropy(logits, &k, 1, 0, 0, NULL).correct;
    }
    for (int k = 0; k < DATASET_CLASSES; k++) result->accuracy += (double)result->confusion[k][k] / set->count;
}

static bool all_ranks_have(const evaluation *result)
{
    evaluation first = *result;
    comm_broadcast(ranks, &first, sizeof first, 0);
    return memcmp(&first, result, sizeof first) == 0;
}

/* Fewer samples than ranks, as many as a batch or one more, and batches that end short. */
START_TEST(is_that_of_one_processor)
{
    static const uint32_t counts[] = {1, 2, 3, CAPACITY, CAPACITY + 1, SAMPLES};
    dataset part = {.images = test.set.images, .labels = test.set.labels, .count = counts[_i]};
    evaluation alone, shared;
    evaluate_alone(&part, &alone);
    ranks_assert(evaluate_run(ranks, net, weights, &part, &pixels, CAPACITY, &shared) == VGG_OK, "evaluates");
    ranks_assert(shared.samples == counts[_i], "each sample once");
    ranks_assert(memcmp(shared.confusion, alone.confusion, sizeof alone.confusion) == 0, "confusion matrix");
    ranks_assert(fabs(shared.loss - alone.loss) <= 1e-6 * alone.loss, "loss");
    ranks_assert(fabs(shared.accuracy - alone.accuracy) <= 1e-12, "accuracy");
    ranks_assert(mistakes_agree(&shared.mistakes, &alone.mistakes), "the surest wrong answers");
    ranks_assert(counts[_i] < SAMPLES || shared.mistakes.count == EVALUATION_MISTAKES, "more of them than are kept");
    ranks_assert(all_ranks_have(&shared), "the same on all ranks");
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("evaluate");
    TCase *tests = tcase_create("evaluate");
    tcase_set_timeout(tests, 0);
    tcase_add_unchecked_fixture(tests, set_up, tear_down);
    tcase_add_loop_test(tests, is_that_of_one_processor, 0, 6);
    suite_add_tcase(suite, tests);
    return suite;
}

int main(int argc, char **argv) { return ranks_main(argc, argv, make_suite); }
