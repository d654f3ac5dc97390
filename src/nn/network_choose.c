/* Which algorithm computes which layer in which pass. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "vgg11/kernels/bf16.h"
#include "nn/network_impl.h"
#include "vgg11/base/clock.h"
#include "vgg11/base/hash.h"

enum { TIMED_TURNS = 2 };

typedef struct {
    void *memory;
    size_t bytes;
} stage_workspace;

/* Made-up operands that are large enough for every layer and pass. */
typedef struct {
    vgg_arena arena;
    size_t map_bytes;
    size_t kernel_bytes;
    size_t bias_bytes;
    float *x, *dy, *result, *w, *dw, *b, *db;
    uint8_t *pool_argmax;
    stage_workspace *workspaces; /* two, which grow as plans need: pages touched once serve all */
} stage;

/* Whether all ranks gave the same value; the same answer on all. */
static bool same_everywhere(const network *net, double value)
{
    double most = network_agreed(&net->config, value), least = -network_agreed(&net->config, -value);
    return most <= least;
}

static bool named(const network *net) { return strcmp(net->conv, "auto") != 0; }

static void measure_stage(const network *net, stage *s)
{
    size_t map = 0, kernel = 0, bias = 0;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        const layer_row *row = &model_layers[i];
        size_t channels = (size_t)(row->in > row->out ? row->in : row->out), area = (size_t)row->side * row->side;
        if (area * channels > map) map = area * channels;
        if (net->layers[i].kernel->count > kernel) kernel = net->layers[i].kernel->count;
        if (net->layers[i].bias->count > bias) bias = net->layers[i].bias->count;
    }
    s->map_bytes = (size_t)net->config.batch_capacity * map * sizeof(float);
    s->kernel_bytes = kernel * sizeof(float);
    s->bias_bytes = bias * sizeof(float);
}

/* Small numbers of both signs: neither denormal nor growing past the range of floats in any sum. */
static float made_up(size_t i) { return (float)(i % 61) / 61.0f - 0.5f; }

static void fill(float *values, size_t bytes, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < bytes / sizeof(float); i++) values[i] = made_up(i);
}

/* Two bfloat16 numbers side by side are a sane float as well, which the first layer reads. */
static void fill_map(const network *net, float *values, size_t bytes)
{
    bf16 *narrow = (bf16 *)values;
    fill(values, bytes, net->config.threads);
    if (net->config.precision != PRECISION_BF16) return;
#pragma omp parallel for num_threads(net->config.threads) schedule(static)
    for (size_t i = 0; i < bytes / sizeof *narrow; i++) narrow[i] = bf16_round(made_up(i));
}

static vgg_status open_stage(const network *net, stage *s)
{
    measure_stage(net, s);
    for (int i = 0; i < 3; i++) arena_reserve(&s->arena, s->map_bytes);
    for (int i = 0; i < 2; i++) arena_reserve(&s->arena, s->kernel_bytes);
    for (int i = 0; i < 2; i++) arena_reserve(&s->arena, s->bias_bytes);
    arena_reserve(&s->arena, s->map_bytes / sizeof(float));
    VGG_TRY(arena_open(&s->arena));
    s->x = arena_take(&s->arena, s->map_bytes);
    s->dy = arena_take(&s->arena, s->map_bytes);
    s->result = arena_take(&s->arena, s->map_bytes);
    s->w = arena_take(&s->arena, s->kernel_bytes);
    s->dw = arena_take(&s->arena, s->kernel_bytes);
    s->b = arena_take(&s->arena, s->bias_bytes);
    s->db = arena_take(&s->arena, s->bias_bytes);
    s->pool_argmax = arena_take(&s->arena, s->map_bytes / sizeof(float));
    fill_map(net, s->x, s->map_bytes);
    fill_map(net, s->dy, s->map_bytes);
    fill(s->w, s->kernel_bytes, net->config.threads);
    fill(s->b, s->bias_bytes, net->config.threads);
    return VGG_OK;
}

/* Packing is paid once a step as well, so it counts. */
static double time_once(conv_plan *plan, const conv_arguments *arguments)
{
    double start = clock_now_s();
    if (plan->prepare) plan->prepare(plan, arguments->w);
    conv_plan_run(plan, arguments);
    return clock_now_s() - start;
}

static conv_arguments stage_arguments(const stage *s, const conv_plan *plan, void *workspace)
{
    return (conv_arguments){.x = s->x, .w = s->w, .b = s->b, .y = s->result, .dy = s->dy, .dx = s->result, .dw = s->dw,
                            .db = s->db, .pool_argmax = s->pool_argmax, .n = plan->problem.batch, .workspace = workspace};
}

static bool make_room(stage_workspace *workspace, size_t bytes)
{
    if (bytes <= workspace->bytes) return true;
    vgg_unmap(workspace->memory, workspace->bytes);
    workspace->bytes = 0;
    bool made = vgg_map(bytes, &workspace->memory) == VGG_OK;
    if (made) workspace->bytes = bytes;
    return made;
}

static double time_once_in(conv_plan *plan, const stage *s, int workspace)
{
    conv_arguments arguments = stage_arguments(s, plan, s->workspaces[workspace].memory);
    return time_once(plan, &arguments);
}

/* Least of a few runs each of the holder, if there is one, and of its challenger, in seconds; least[0] is the holder's so far.
 * They run in turns, so that what else the machine does hits both alike. A challenger that falls far behind gets no further
 * turn: most do at once. Infinite without memory to try. */
static void time_in_turns(conv_plan *const plans[2], const stage *s, double least[2])
{
    const double far_behind = 2.5;
    least[1] = INFINITY;
    for (int i = 0; i < 2; i++) {
        if (plans[i] && !make_room(&s->workspaces[i], plans[i]->workspace_bytes)) return;
    }
    least[1] = time_once_in(plans[1], s, 1);
    for (int turn = 0; turn < TIMED_TURNS && !(plans[0] && least[1] > far_behind * least[0]); turn++) {
        if (plans[0] && turn == 0) least[0] = INFINITY; /* timed at another moment */
        for (int i = 0; i < 2; i++) {
            if (plans[i]) least[i] = fmin(least[i], time_once_in(plans[i], s, i));
        }
    }
}

static void note_declined(network_slot *slot, const conv_algorithm *algorithm)
{
    size_t used = strlen(slot->declined);
    snprintf(slot->declined + used, sizeof slot->declined - used, "%s%s: %s", used ? "; " : "", algorithm->name, vgg_message());
}

/* Is the challenger, on every rank, clearly faster than what the slot holds, or where nothing is held to be had? Rows come in the order of expectation, so a tie goes
 * to the one before. `opened` is false where this rank could not make the challenger's plan. */
static bool is_better(network *net, network_slot *slot, conv_plan *challenger, bool opened, const stage *s)
{
    const double margin = 0.95;
    conv_plan *holder = slot->plan.algorithm ? &slot->plan : NULL;
    double least[2] = {holder ? slot->plan.seconds : INFINITY, opened ? 0 : INFINITY};
    if (s && opened) time_in_turns((conv_plan *const[2]){holder, challenger}, s, least);
    for (int i = 0; i < 2; i++) least[i] = network_agreed(&net->config, least[i]);
    challenger->seconds = least[1];
    if (holder && isfinite(least[1])) holder->seconds = least[0];
    return holder ? least[1] < margin * least[0] : isfinite(least[1]);
}

/* Opens `algorithm` for the slot; true if all ranks could and it replaces what the slot held. `s` is NULL where nothing is to be
 * timed. */
static bool consider(network *net, int layer, conv_pass pass, const conv_algorithm *algorithm, const stage *s)
{
    network_slot *slot = &net->layers[layer].slots[pass];
    conv_problem problem = network_problem(net, layer);
    conv_plan plan;
    bool opened = conv_plan_open(algorithm, &problem, pass, &plan) == VGG_OK;
    if (!opened) note_declined(slot, algorithm);
    else if (algorithm->precision == net->config.precision) net->precision_available = true;
    bool better = is_better(net, slot, &plan, opened, s);
    if (better) {
        conv_plan_close(&slot->plan);
        slot->plan = plan;
    } else {
        conv_plan_close(&plan);
    }
    return better;
}

/* Of the precision asked for, those that should be the fastest here are tried first; what errs less comes last. */
enum { GROUP_EXPECTED, GROUP_PRECISION, GROUP_OTHERS, GROUPS };

static int group_of(const network *net, int layer, conv_pass pass, const conv_algorithm *row)
{
    conv_problem problem = network_problem(net, layer);
    if (row->precision != net->config.precision) return GROUP_OTHERS;
    return row->expected && row->expected(&problem, pass) ? GROUP_EXPECTED : GROUP_PRECISION;
}

/* All rows but one. The reference is for where no other row will do: it need not be timed. */
static void choose_from_table(network *net, int layer, conv_pass pass, const stage *s, const conv_algorithm *but)
{
    const network_slot *slot = &net->layers[layer].slots[pass];
    for (int group = 0; group < GROUPS; group++) {
        for (const conv_algorithm *const *row = conv_algorithms; *row; row++) {
            bool enough = slot->plan.algorithm && (!s || !row[1]);
            if (*row != but && group_of(net, layer, pass, *row) == group && !enough) consider(net, layer, pass, *row, s);
        }
    }
}

static vgg_status choose_slot(network *net, int layer, conv_pass pass, const stage *s, bool *name_taken)
{
    const conv_algorithm *favourite = named(net) ? conv_algorithm_find(net->conv) : NULL;
    if (favourite && consider(net, layer, pass, favourite, NULL)) {
        *name_taken = true;
        return VGG_OK;
    }
    choose_from_table(net, layer, pass, s, favourite);
    if (net->layers[layer].slots[pass].plan.algorithm) return VGG_OK;
    return vgg_fail(VGG_UNAVAILABLE, "%s %s: no algorithm is available on every rank (%s)", model_layers[layer].name,
                    network_pass_names[pass], net->layers[layer].slots[pass].declined);
}

enum { LIST_MAX = 256 };

/* Adds the names of all rows, or of those that compute in bf16, to what `list` has. */
static void list_rows(bool bf16_only, char list[LIST_MAX])
{
    for (const conv_algorithm *const *row = conv_algorithms; *row; row++) {
        size_t used = strlen(list);
        if (bf16_only && (*row)->precision != PRECISION_BF16) continue;
        snprintf(list + used, LIST_MAX - used, "%s%s", used ? ", " : "", (*row)->name);
    }
}

static vgg_status refuse_precision(const network *net)
{
    char known[LIST_MAX] = "";
    if (!named(net)) return vgg_fail(VGG_UNAVAILABLE, "--precision bf16: no algorithm of this build computes in bf16 on this processor");
    list_rows(true, known);
    return vgg_fail(VGG_UNAVAILABLE, "--conv %s: computes in fp32, and --precision bf16 is asked for; name an algorithm of bf16 (%s) or leave out --conv",
                    net->conv, known);
}

static vgg_status choose_all(network *net, const stage *s)
{
    bool name_taken = false;
    for (int layer = 0; layer < MODEL_LAYERS; layer++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            if (network_needs(net, layer, pass)) VGG_TRY(choose_slot(net, layer, (conv_pass)pass, s, &name_taken));
        }
    }
    if (named(net) && !name_taken)
        return vgg_fail(VGG_UNAVAILABLE, "--conv %s: accepts no layer here (%s)", net->conv,
                        net->layers[MODEL_LAYERS - 1].slots[CONV_FORWARD].declined);
    return net->precision_available ? VGG_OK : refuse_precision(net);
}

static vgg_status choose_by_timing(network *net)
{
    stage_workspace workspaces[2] = {{NULL, 0}, {NULL, 0}};
    stage s = {.workspaces = workspaces};
    vgg_status status = open_stage(net, &s);
    if (network_any(&net->config, status != VGG_OK)) {
        if (status == VGG_OK) status = vgg_fail(VGG_UNAVAILABLE, "another rank has no memory to time the algorithms");
    } else {
        status = choose_all(net, &s);
    }
    for (int i = 0; i < 2; i++) vgg_unmap(workspaces[i].memory, workspaces[i].bytes);
    arena_close(&s.arena);
    return status;
}

static vgg_status open_choices(network *net, const network_choices *choices)
{
    for (int i = 0; i < MODEL_LAYERS; i++) {
        conv_problem problem = network_problem(net, i);
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            conv_plan *plan = &net->layers[i].slots[pass].plan;
            if (!network_needs(net, i, pass)) continue;
            VGG_TRY(conv_plan_open(choices->algorithm[i][pass], &problem, (conv_pass)pass, plan));
            plan->seconds = choices->seconds[i][pass];
        }
    }
    return VGG_OK;
}

static void close_all(network *net)
{
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) conv_plan_close(&net->layers[i].slots[pass].plan);
    }
}

static double digest(const network_choices *choices)
{
    uint32_t crc = 0;
    for (int i = 0; i < MODEL_LAYERS; i++) {
        for (int pass = 0; pass < CONV_PASSES; pass++) {
            const conv_algorithm *algorithm = choices->algorithm[i][pass];
            if (algorithm) crc = hash_crc32c(crc, algorithm->name, strlen(algorithm->name) + 1);
        }
    }
    return crc;
}

/* Takes these choices if every rank has them, they are the same, and every rank can open them. */
static bool take_choices(network *net, bool have, const network_choices *choices)
{
    bool usable = !network_any(&net->config, !have);
    usable = same_everywhere(net, digest(choices)) && usable;
    if (!usable) return false;
    usable = !network_any(&net->config, open_choices(net, choices) != VGG_OK);
    if (!usable) close_all(net);
    return usable;
}

static bool choose_from_cache(network *net)
{
    network_choices choices = {0};
    bool have = net->config.plan_cache && network_cache_load(net, &choices);
    return take_choices(net, have, &choices);
}

static bool choose_from_plan(network *net)
{
    network_choices choices = {0};
    bool have = net->config.plan && network_plan_read(net, net->config.plan, &choices);
    return take_choices(net, have, &choices);
}

static vgg_status check_name(const network *net)
{
    char known[LIST_MAX] = "auto";
    if (!named(net) || conv_algorithm_find(net->conv)) return VGG_OK;
    list_rows(false, known);
    return vgg_fail(VGG_UNAVAILABLE, "--conv %s: no such algorithm in this build; there are %s", net->conv, known);
}

static uint32_t table_digest(void)
{
    uint32_t crc = 0;
    for (const conv_algorithm *const *row = conv_algorithms; *row; row++)
        crc = hash_crc32c(crc, (*row)->name, strlen((*row)->name) + 1);
    return crc;
}

/* Each rank asks the others about the same rows in the same order, so they must have the same rows. */
static vgg_status check_builds(const network *net)
{
    if (same_everywhere(net, table_digest())) return VGG_OK;
    return vgg_fail(VGG_DISAGREE, "the ranks' builds have unlike algorithms: start the same build everywhere");
}

/* Where ranks were told unlike things, all go the way that one of them was told to go. */
vgg_status network_choose(network *net)
{
    VGG_TRY(check_builds(net));
    VGG_TRY(check_name(net));
    if (network_any(&net->config, net->config.plan != NULL) && choose_from_plan(net)) return VGG_OK;
    if (!network_any(&net->config, net->config.tune)) return choose_all(net, NULL);
    net->config.node_ranks = (int)network_agreed(&net->config, net->config.node_ranks); /* the fullest node's: all wait for the slowest rank */
    if (choose_from_cache(net)) return VGG_OK;
    VGG_TRY(choose_by_timing(net));
    if (net->config.plan_cache) network_cache_store(net);
    return VGG_OK;
}
