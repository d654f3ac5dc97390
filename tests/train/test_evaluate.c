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
