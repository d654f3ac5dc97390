/* One training step's exchange on a simulated cluster: the code of src/dist compiled against SimGrid's SMPI, with the computation
 * of each layer, the norm and the update as measured times.
 *
 *   simulate EXCHANGE WIRE SLICED STEPS BANDWIDTH FORWARD_S BACKWARD_S...   (backward: 12 layers, the last layer first)
 *
 * Prints one line: ranks, nodes, seconds of a step, seconds of it that are not computation. */
#include <smpi/smpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_cost.h"
#include "vgg11/dist/comm.h"
#include "vgg11/dist/exchange.h"
#include "vgg11/nn/model.h"

enum { ARGUMENTS = 7 + MODEL_LAYERS, UPDATE_STREAMS = 5 };

typedef struct {
    double forward_s;
    double backward_s[MODEL_LAYERS]; /* the last layer first */
} compute_times;

static vgg_status open_exchange(comm *c, char **argv, exchange **out)
{
    vgg_range segments[MODEL_TENSORS];
    const tensor_view *views = model_tensors();
    for (int i = 0; i < MODEL_TENSORS; i++) segments[i] = (vgg_range){views[i].offset, views[i].count};
    exchange_config config = {.name = argv[1],
                              .count = model_flat_count(),
                              .segments = segments,
                              .segment_count = MODEL_TENSORS,
                              .wire = strcmp(argv[2], "bf16") == 0 ? WIRE_BF16 : WIRE_FP32,
                              .threads = 1,
                              .slices = atoi(argv[3]) ? comm_size(c) : 0};
    return exchange_create(c, &config, out);
}

/* Layer i's range is final when its backward time has passed. */
static void walk_backward(exchange *ex, const compute_times *times)
{
    size_t end = model_flat_count();
    for (int i = 0; i < MODEL_LAYERS; i++) {
        size_t first = model_tensors()[2 * (MODEL_LAYERS - 1 - i)].offset;
        sim_pass(times->backward_s[i]);
        exchange_slice_range_final(ex, 0, first, end - first);
        exchange_poll(ex);
        end = first;
    }
}

static void step(exchange *ex, const compute_times *times)
{
    double sums[MODEL_TENSORS];
    size_t owned_bytes = exchange_owned(ex).count * sizeof(float);
    sim_pass(times->forward_s);
    exchange_begin(ex);
    walk_backward(ex, times);
    exchange_finish(ex);
    bool norm_apart = strcmp(exchange_name(ex), "node") != 0;
    sim_move(norm_apart ? owned_bytes : 0);
    exchange_square_sums(ex, sums);
    sim_move(UPDATE_STREAMS * owned_bytes);
    exchange_publish(ex);
}

static double compute_seconds(const compute_times *times)
{
    double sum = times->forward_s;
    for (int i = 0; i < MODEL_LAYERS; i++) sum += times->backward_s[i];
    return sum;
}

static void measure(comm *c, exchange *ex, int steps, const compute_times *times)
{
    step(ex, times);
    comm_barrier(c);
    double start = MPI_Wtime();
    for (int i = 0; i < steps; i++) step(ex, times);
    double step_s = comm_max(c, (MPI_Wtime() - start) / steps);
    if (comm_rank(c) == 0) printf("%d,%d,%.6f,%.6f\n", comm_size(c), comm_node_count(c), step_s, step_s - compute_seconds(times));
}

int main(int argc, char **argv)
{
    comm *c;
    exchange *ex;
    compute_times times;
    if (argc != ARGUMENTS) return fprintf(stderr, "simulate: %d arguments expected\n", ARGUMENTS - 1), 2;
    times.forward_s = atof(argv[6]);
    for (int i = 0; i < MODEL_LAYERS; i++) times.backward_s[i] = atof(argv[7 + i]);
    int steps = atoi(argv[4]);
    if (comm_open(&argc, &argv, &c) != VGG_OK) return fprintf(stderr, "simulate: %s\n", vgg_message()), 1;
    sim_set_bandwidth(atof(argv[5]));
    vgg_status status = open_exchange(c, argv, &ex);
    if (status == VGG_OK) {
        measure(c, ex, steps, &times);
        exchange_destroy(ex);
    } else if (comm_rank(c) == 0) {
        fprintf(stderr, "simulate: %s\n", vgg_message());
    }
    comm_close(c);
    return status;
}
