/* bench: from options to a benchmark. */
#include "app/commands.h"
#include "app/threads.h"
#include "app/command.h"
#include "vgg11/bench/bench.h"

vgg_status cmd_bench(comm *c, const options *o)
{
    thread_plan plan;
    VGG_TRY(threads_plan(c, o->threads, &plan));
    bench_config config = {
        .part = bench_part_find(o->part),
        .batch_size = (uint32_t)o->batch_size,
        .repeats = (uint32_t)o->repeats,
        .seed = o->seed,
        .precision = (vgg_precision)option_choice_index(option_precisions, o->precision),
        .conv = o->conv,
        .exchange = o->exchange,
        .wire = (exchange_wire)option_choice_index(option_wires, o->wire),
        .slices = (int)o->slices,
        .bucket_mib = (int)o->bucket,
        .factors = !o->no_factors,
        .threads = plan.threads,
        .json = o->json,
        .plot = o->plot,
        .plan_cache = o->plan_cache, /* a benchmark times for itself, unless a file is named */
    };
    return bench_run(c, &config);
}
