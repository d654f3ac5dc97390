/* One training step's exchange on a simulated cluster: the code of src/comm and src/exchange compiled against SimGrid's SMPI, with forward and
 * backward, the norm and the update as given times.
 *
 *   simulate EXCHANGE WIRE STEPS BANDWIDTH COMPUTE_S
 *
 * Prints one line: ranks, nodes, seconds of a step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_cost.h"
#include "sim_memory.h"
#include "vgg11/comm/comm.h"
#include "vgg11/exchange/exchange.h"
#include "vgg11/nn/model.h"

enum { ARGUMENTS = 6, UPDATE_STREAMS = 5 };

/* The same arithmetic three times: forward, and backward once for weights, once for inputs. */
static const double FORWARD_SHARE = 1.0 / 3;

/* An algorithm that is busy polls every tenth of a millisecond; so often is enough here, and sooner simulated. */
static const double POLL_S = 5e-4;

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
                              .tune = true};
    return exchange_create(c, &config, out);
}

/* Of a layer's forward pass, as of each of its two backward passes. */
static double multiplications(const layer_row *layer)
{
    double taps = layer->kind == LAYER_CONV ? 9 : 1;
    return taps * layer->side * layer->side * layer->in * layer->out;
}

static void compute(exchange *ex, double seconds)
{
    for (double left = seconds; left > 0; left -= POLL_S) {
        sim_pass(left < POLL_S ? left : POLL_S);
        exchange_poll(ex);
    }
}

/* From the last layer to the first, the weight gradient before the input gradient. */
static void backward(exchange *ex, double seconds_of_all)
{
    const tensor_view *tensors = model_tensors();
    size_t end = model_flat_count();
    double all = -multiplications(&model_layers[0]); /* nobody asks for the gradient of an image */
    for (int i = 0; i < MODEL_LAYERS; i++) all += 2 * multiplications(&model_layers[i]);
    for (int i = MODEL_LAYERS - 1; i >= 0; i--) {
        double pass_s = seconds_of_all * multiplications(&model_layers[i]) / all;
        size_t first = tensors[2 * i].offset;
        compute(ex, pass_s);
        exchange_range_final(ex, first, end - first);
        end = first;
        if (i > 0) compute(ex, pass_s);
    }
}

static void step(const comm *c, exchange *ex, double compute_s)
{
    double sums[MODEL_TENSORS];
    size_t owned_bytes = exchange_owned(ex).count * sizeof(float);
    sim_pass(compute_s * FORWARD_SHARE);
    exchange_begin(ex);
    backward(ex, compute_s * (1 - FORWARD_SHARE));
    exchange_finish(ex);
    bool norm_apart = strcmp(exchange_name(ex), "node") != 0 || comm_node_count(c) > 1;
    sim_move(norm_apart ? owned_bytes : 0);
    exchange_square_sums(ex, sums);
    sim_move(UPDATE_STREAMS * owned_bytes);
    exchange_publish(ex);
}

static void measure(comm *c, exchange *ex, int steps, double compute_s)
{
    comm_barrier(c);
    double start = sim_now();
    for (int i = 0; i < steps; i++) step(c, ex, compute_s);
    double step_s = comm_max(c, (sim_now() - start) / steps);
    if (comm_rank(c) == 0) printf("%d,%d,%.6f\n", comm_size(c), comm_node_count(c), step_s);
}

int main(int argc, char **argv)
{
    comm *c;
    exchange *ex;
    if (argc != ARGUMENTS) return fprintf(stderr, "simulate: %d arguments expected\n", ARGUMENTS - 1), 2;
    if (comm_open(&argc, &argv, &c) != VGG_OK) return fprintf(stderr, "simulate: %s\n", vgg_message()), 1;
    sim_memory_open(c,
                    ((size_t)comm_node_size(c) + 3) * model_flat_count() * sizeof(float)); /* the most that one asks for at once */
    sim_set_bandwidth(atof(argv[4]));
    vgg_status status = open_exchange(c, argv, &ex);
    if (status == VGG_OK) {
        measure(c, ex, atoi(argv[3]), atof(argv[5]));
        exchange_destroy(ex);
    } else if (comm_rank(c) == 0) {
        fprintf(stderr, "simulate: %s\n", vgg_message());
    }
    comm_close(c);
    return status;
}
