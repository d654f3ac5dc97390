/* The forward and backward passes over the table of layers. */
#include <assert.h>
#include <string.h>

#include "vgg11/conv/progress_poll.h"
#include "vgg11/conv/parts.h"
#include "nn/network_impl.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/hash.h"
#include "vgg11/nn/dense_factors.h"
#include "vgg11/nn/op_count.h"

static void prepare_plan(conv_plan *plan, const float *w)
{
    if (plan->algorithm && plan->prepare) plan->prepare(plan, w);
}

void network_prepare(network *net, const float *weights)
{
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++)
            prepare_plan(&net->choices[i][pass].plan, weights + net->layers[i].kernel->offset);
    }
}

const char *network_check(network *net, const float *weights)
{
    const char *found = NULL;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            conv_plan *plan = &net->choices[i][pass].plan;
            uint64_t before = hash_bits(plan->packed, plan->packed_bytes);
            prepare_plan(plan, weights + net->layers[i].kernel->offset);
            if (!found && hash_bits(plan->packed, plan->packed_bytes) != before) found = model_layers[i].name;
        }
    }
    return found;
}

static double now(const network *net) { return net->timing ? clock_now_s() : 0; }

/* Ends a span of a layer, in which the passes were computed whose bits are set. */
static void end_span(const network *net, int i, double start, const char *part, unsigned passes)
{
    if (!net->spans) return;
    span_work work = {0};
    for (int pass = 0; pass < CONV_PASSES; pass++) {
        if (!(passes & 1u << pass)) continue;
        op_count ops = op_count_of_layer(i, (conv_pass)pass, net->n, 1, net->config.precision);
        work.flops += ops.flops;
        work.bytes += op_count_bytes(ops);
    }
    span_add(net->spans, SPAN_TRAINING, net->layers[i].row->name, part, start, clock_now_s(), work);
}

static void run_pass(network *net, int i, conv_pass pass, conv_arguments arguments)
{
    double start = now(net), traced = span_start(net->spans);
    arguments.n = net->n;
    arguments.workspace = net->workspace;
    conv_plan_run(&net->choices[i][pass].plan, &arguments);
    net->layers[i].seconds[pass] += now(net) - start;
    end_span(net, i, traced, conv_pass_names[pass], 1u << pass);
}

static void forward_layer(network *net, int i, const float *weights, const void *x)
{
    const network_layer *layer = &net->layers[i];
    run_pass(net, i, CONV_FORWARD,
             (conv_arguments){.x = x,
                              .w = weights + layer->kernel->offset,
                              .b = weights + layer->bias->offset,
                              .y = layer->output,
                              .pool_argmax = layer->pool_argmax});
}

const float *network_forward(network *net, const float *weights, int n)
{
    assert(n >= 0 && n <= net->config.batch_capacity);
    net->n = n;
    const void *x = net->input;
    for (int i = 0; i < MODEL_LAYERS && n > 0; i++) {
        forward_layer(net, i, weights, x);
        x = net->layers[i].output;
    }
    return net->layers[MODEL_LAYERS - 1].output;
}

static void zero_padding(const network_layer *layer, float *gradient)
{
    size_t kernel_end = layer->kernel->offset + layer->kernel->count, bias_end = layer->bias->offset + layer->bias->count;
    memset(gradient + kernel_end, 0, (layer->bias->offset - kernel_end) * sizeof *gradient);
    memset(gradient + bias_end, 0, (layer->flat_end - bias_end) * sizeof *gradient);
}

static void report(const network_layer *layer, const network_hooks *hooks)
{
    if (!hooks) return;
    size_t first = layer->kernel->offset;
    if (hooks->range_final) hooks->range_final(hooks->context, first, layer->flat_end - first);
    if (hooks->poll) hooks->poll(hooks->context);
}

static void sum_bias_gradient(const network *net, int i, const void *dy, float *db)
{
    size_t out = (size_t)net->layers[i].row->out, n = (size_t)net->n;
    vgg_range all = {0, out};
    if (net->problems[i].problem.bf16_y)
        conv_sum_rows_bf16(dy, out, n, all, db);
    else
        conv_sum_rows(dy, out, n, all, db);
}

static bool is_in_factors(int i, const factor_batch *factors) { return factors && factors_hold(factors->f, i); }

static void weight_gradient(network *net, int i, const void *x, const void *dy, float *gradient, const factor_batch *factors)
{
    const network_layer *layer = &net->layers[i];
    float *dw = gradient + layer->kernel->offset, *db = gradient + layer->bias->offset;
    if (is_in_factors(i, factors)) {
        factors_write(factors, i, x, dy);
        sum_bias_gradient(net, i, dy, db);
    } else {
        run_pass(net, i, CONV_WEIGHT_GRAD,
                 (conv_arguments){.x = x, .dy = dy, .pool_argmax = layer->pool_argmax, .dw = dw, .db = db});
    }
    zero_padding(layer, gradient);
}

/* `dy` is the gradient with respect to the layer's output, already zero where its ReLU was inactive. The weight gradient comes
 * first, so that it can be exchanged while the rest is computed. */
static void backward_layer(network *net, int i, const float *weights, const void *dy, float *gradient, const factor_batch *factors,
                           const network_hooks *hooks)
{
    const network_layer *layer = &net->layers[i];
    const void *x = i > 0 ? net->layers[i - 1].output : net->input;
    double start = span_start(net->spans);
    weight_gradient(net, i, x, dy, gradient, factors);
    report(layer, hooks);
    if (i > 0) {
        run_pass(net, i, CONV_INPUT_GRAD,
                 (conv_arguments){.x = x,
                                  .w = weights + layer->kernel->offset,
                                  .dy = dy,
                                  .pool_argmax = layer->pool_argmax,
                                  .dx = net->gradient[i % 2]});
        if (hooks && hooks->poll) hooks->poll(hooks->context);
    }
    unsigned passes = is_in_factors(i, factors) ? 0 : 1u << CONV_WEIGHT_GRAD;
    if (i > 0) passes |= 1u << CONV_INPUT_GRAD;
    end_span(net, i, start, "backward", passes);
}

static void zero_gradient(network *net, float *gradient, const network_hooks *hooks)
{
    double start = span_start(net->spans);
    memset(gradient, 0, model_flat_count() * sizeof *gradient);
    for (int i = MODEL_LAYERS - 1; i >= 0; i--) report(&net->layers[i], hooks);
    span_end(net->spans, start, "gradient of no images");
}

void network_backward(network *net, const float *weights, const float *dlogits, float *gradient, const factor_batch *factors,
                      const network_hooks *hooks)
{
    assert(net->config.training);
    if (net->n == 0) {
        zero_gradient(net, gradient, hooks);
        return;
    }
    const void *dy = dlogits;
    progress_poll_begin(hooks ? hooks->poll : NULL, hooks ? hooks->context : NULL);
    for (int i = MODEL_LAYERS - 1; i >= 0; i--) {
        backward_layer(net, i, weights, dy, gradient, factors, hooks);
        dy = net->gradient[i % 2];
    }
    progress_poll_end();
}
