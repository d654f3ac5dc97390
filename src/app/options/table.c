/* The one table of options, and the tables whose names they take. */
#include <string.h>

#include "app/options/preset.h"
#include "app/command.h"
#include "app/options/options.h"
#include "vgg11/bench/bench.h"
#include "vgg11/checkpoint/weight_file.h"
#include "vgg11/data/augment.h"
#include "vgg11/data/batch.h"
#include "vgg11/data/idx.h"
#include "vgg11/data/resize.h"
#include "vgg11/exchange/exchange.h"
#include "vgg11/conv/conv.h"
#include "vgg11/nn/initialize.h"
#include "vgg11/report/progress.h"
#include "vgg11/train/schedule.h"

/* A walk over a table of rows that have a name and a good_when, ended by a row without a name. */
#define WALK(walker, rows)                                                      \
    static bool walker(size_t index, option_choice *choice)                     \
    {                                                                           \
        *choice = (option_choice){(rows)[index].name, (rows)[index].good_when}; \
        return choice->name != NULL;                                            \
    }
WALK(walk_resize, resize_filters)
WALK(walk_normalize, normalization_kinds)
WALK(walk_augment, augmentations)
WALK(walk_init, initializers)
WALK(walk_format, weight_formats)
WALK(walk_schedule, schedule_shapes)
WALK(walk_progress, progress_styles)
WALK(walk_preset, presets)
WALK(walk_part, bench_parts)

static bool walk_exchange(size_t index, option_choice *choice)
{
    const exchange_entry *entries;
    size_t count = exchange_entries(&entries);
    if (index == 0)
        *choice = (option_choice){"auto", "chosen by topology and by timing at the start"};
    else if (index <= count)
        *choice = (option_choice){entries[index - 1].name, entries[index - 1].good_when};
    return index <= count;
}

static bool walk_conv(size_t index, option_choice *choice)
{
    if (index == 0) {
        *choice = (option_choice){"auto", "the fastest for each layer and pass"};
        return true;
    }
    const conv_algorithm *row = conv_algorithms[index - 1];
    if (row) *choice = (option_choice){row->name, row->good_when};
    return row != NULL;
}

/* The order is the enumeration's. */
static const option_choice precisions[] = {
    {"fp32", "single precision throughout"},
    {"bf16", "products of bfloat16 with fp32 sums; weights, gradients and velocity stay fp32"},
    {"auto",
     "bf16 where the processors of all ranks multiply it, else fp32; with an algorithm that is named, its own"}, /* one of the others by the time a command runs */
    {NULL, NULL},
};
static const option_choice wires[] = {
    {"fp32", "gradients travel as they are"},
    {"bf16", "half the traffic between nodes, with error feedback, which a resumed run begins without"},
    {NULL, NULL},
};
static const option_choice helps[] = {
    {"most", "what people need first, or all options of the command that is named"},
    {"all", "all options of all commands"},
    {"man", "a page for man(1)"},
    {"bash", "a script that completes commands, options and values in bash: source <(vgg11_dist --help=bash)"},
    {NULL, NULL},
};
static const option_choice clip_modes[] = {
    {"global", "by the norm over all tensors"},
    {"tensor", "each tensor by its own norm, as newer Keras does"},
    {NULL, NULL},
};

static bool walk_help(size_t index, option_choice *choice) { return *choice = helps[index], choice->name != NULL; }
bool option_precisions(size_t index, option_choice *choice) { return *choice = precisions[index], choice->name != NULL; }
bool option_wires(size_t index, option_choice *choice) { return *choice = wires[index], choice->name != NULL; }
bool option_clip_modes(size_t index, option_choice *choice) { return *choice = clip_modes[index], choice->name != NULL; }

int option_choice_index(option_choices choices, const char *name)
{
    option_choice choice;
    for (size_t i = 0; choices(i, &choice); i++) {
        if (strcmp(choice.name, name) == 0) return (int)i;
    }
    return -1;
}

enum { GROUP_DATA, GROUP_MODEL, GROUP_STEP, GROUP_PARALLEL, GROUP_BENCHMARK, GROUP_OUTPUT, GROUP_GENERAL };
const char *const option_groups[] = {"Data", "Model", "Training", "Parallel", "Benchmark", "Output", "General", NULL};

#define MEMBER(member) .offset = offsetof(options, member)
#define FLAG(text, member) .name = text, .type = OPTION_FLAG, MEMBER(member)
#define COUNT(text, member, from, to) .name = text, .argument = "N", .type = OPTION_COUNT, MEMBER(member), .least = from, .most = to
#define REAL(text, member, from, to) .name = text, .argument = "X", .type = OPTION_REAL, MEMBER(member), .low = from, .high = to
#define CHOICE(text, member, walker) .name = text, .argument = "NAME", .type = OPTION_CHOICE, MEMBER(member), .choices = walker
#define TEXT(text, member, what) .name = text, .argument = what, .type = OPTION_TEXT, MEMBER(member)
#define IN(section, mask) .group = GROUP_##section, .commands = mask

enum {
    TRAIN = COMMAND_TRAIN,
    EVAL = COMMAND_EVAL,
    INFO = COMMAND_INFO,
    BENCH = COMMAND_BENCH,
    DOCTOR = COMMAND_DOCTOR,
    PREDICT = COMMAND_PREDICT,
    EXPORT = COMMAND_EXPORT,
    SHOW = COMMAND_SHOW,
    COMPARE = COMMAND_COMPARE,
    REPORT = COMMAND_REPORT,
    THREADS_MAX = 4096,
    BATCH_MAX = 1000000,
};
#define STEPS_MAX UINT64_C(1000000000000)
#define SEED_MAX UINT64_C(9223372036854775807) /* what a JSON integer holds */

const option_row option_table[] = {
    {TEXT("data", data, "DIR"), .common = true, IN(DATA, TRAIN | EVAL | DOCTOR | SHOW),
     .help = "folder of the four IDX files, plain or .gz. Otherwise $VGG11_DATA, or the MNIST that comes with the program"},
    {COUNT("train-samples", train_samples, 0, IDX_MAX_COUNT), .fallback = "0", IN(DATA, TRAIN | DOCTOR | SHOW),
     .help = "train on the first N images; 0: all"},
    {COUNT("test-samples", test_samples, 0, IDX_MAX_COUNT), .fallback = "0", IN(DATA, TRAIN | EVAL | DOCTOR | PREDICT),
     .help = "test on the first N images; 0: all (predict: of each IDX file, as far as it has so many)"},
    {COUNT("validation", validation, 0, IDX_MAX_COUNT), .fallback = "0", IN(DATA, TRAIN),
     .help =
         "hold out N of the training images, the same whatever the seed, and evaluate on them in place of the test set, to choose "
         "settings by; 0: none"},
    {CHOICE("resize", resize, walk_resize), .fallback = "bilinear", IN(DATA, TRAIN | EVAL | DOCTOR | PREDICT | SHOW),
     .help = "how images become 32x32 (eval and predict: as the checkpoint was trained, eval with its --resize-bug, unless named)"},
    {CHOICE("normalize", normalize, walk_normalize), .fallback = "standard", IN(DATA, TRAIN | DOCTOR | SHOW),
     .help = "what pixels become"},
    {FLAG("resize-bug", resize_bug), IN(DATA, TRAIN | DOCTOR | SHOW),
     .help = "resize only the first and the last image and leave the others zero: a well-known mistake, to see what it does"},
    {CHOICE("augment", augment, walk_augment), .fallback = "affine", .unsaid = "none", IN(DATA, TRAIN),
     .help = "random changes of training images, others in each epoch"},

    {CHOICE("init", init, walk_init), .fallback = "looks-linear", .unsaid = "he", IN(MODEL, TRAIN | DOCTOR),
     .help = "initial weights"},
    {TEXT("init-from", init_from, "FILE"), IN(MODEL, TRAIN),
     .help =
         "begin with the weights of that file instead of --init: a checkpoint, or what `export`, PyTorch or Keras wrote. Momentum, "
         "steps and schedule begin afresh; not with --resume, but for --resume=auto where it begins"},
    {COUNT("seed", seed, 0, SEED_MAX), .fallback = "1", IN(MODEL, TRAIN | BENCH | DOCTOR),
     .help = "of initial weights and the order of samples"},
    {CHOICE("precision", precision, option_precisions), .fallback = "auto", .unsaid = "fp32", .common = true,
     IN(MODEL, TRAIN | EVAL | BENCH | DOCTOR | PREDICT),
     .help = "of the products (eval and predict: as the checkpoint was trained, unless named)"},
    /* No closed choice: a name that this build lacks is the network's to refuse, as one that this processor lacks. */
    {TEXT("conv", conv, "NAME"), .choices = walk_conv, .fallback = "auto", IN(MODEL, TRAIN | EVAL | BENCH),
     .help = "algorithm of the layers' products"},
    {FLAG("no-tune", no_tune), IN(MODEL, TRAIN | EVAL),
     .help =
         "time nothing at the start: take the first algorithms and the first exchange of their lists that work. The same options "
         "then give the same bits on the same type of processor with as many threads a rank and, without --micro-batches, as many "
         "ranks on as many nodes"},
    {TEXT("plan-cache", plan_cache, "FILE"), IN(MODEL, TRAIN | EVAL | BENCH | INFO), .scope = SCOPE_CALL,
     .help = "where timings of algorithms are kept; otherwise vgg11_dist/plans.tsv in $XDG_CACHE_HOME or ~/.cache"},
    {REAL("plan-spread", plan_spread, 0, 1e9), .fallback = "0.5", IN(MODEL, TRAIN | EVAL | BENCH), .scope = SCOPE_CALL,
     .help = "keep no choice of which the median run took more than (1 + X) times the least: it was timed in a busy moment, and is "
             "timed again by the next run; 0: keep all"},
    {FLAG("retune", retune), IN(MODEL, TRAIN | EVAL | BENCH), .scope = SCOPE_CALL,
     .help =
         "time the algorithms anew, and keep that in the place of what was kept; a run that goes on has those of its checkpoint"},

    {COUNT("epochs", epochs, 1, 1000000), .fallback = "12", .unsaid = "4", .common = true, IN(STEP, TRAIN | DOCTOR),
     .help = "times that each image is seen"},
    {COUNT("max-steps", max_steps, 0, STEPS_MAX), .fallback = "0", IN(STEP, TRAIN), .scope = SCOPE_PART,
     .help = "stop after N steps, as if interrupted there: the schedule of the rate stays that of all epochs; 0: no limit"},
    {COUNT("batch-size", batch_size, 1, BATCH_MAX), .fallback = "128", .common = true, IN(STEP, TRAIN | EVAL | BENCH | DOCTOR),
     .help = "images whose mean gradient makes one step, over all ranks together"},
    {REAL("lr", lr, 0, 1000), .fallback = "0", .common = true, IN(STEP, TRAIN | DOCTOR),
     .help = "learning rate after warm-up; 0: 0.05 x sqrt(batch size / 128)"},
    {REAL("momentum", momentum, 0, 0.999999), .fallback = "0.9", IN(STEP, TRAIN | DOCTOR), .help = "momentum"},
    {FLAG("no-nesterov", no_nesterov), IN(STEP, TRAIN | DOCTOR), .help = "plain momentum instead of Nesterov's"},
    {REAL("clip-norm", clip_norm, 0, 1e9), .fallback = "1", IN(STEP, TRAIN | DOCTOR),
     .help = "gradients longer than X are scaled down to it; 0: never"},
    {CHOICE("clip-mode", clip_mode, option_clip_modes), .fallback = "tensor", .unsaid = "global", IN(STEP, TRAIN | DOCTOR),
     .help = "what is measured and scaled"},
    {REAL("weight-decay", weight_decay, 0, 1), .fallback = "5e-4", IN(STEP, TRAIN | DOCTOR),
     .help = "added to gradients, times the weight; not for biases"},
    {CHOICE("schedule", schedule, walk_schedule), .fallback = "linear", .unsaid = "cosine", IN(STEP, TRAIN | DOCTOR),
     .help = "learning rate after warm-up"},
    {COUNT("schedule-steps", schedule_steps, 0, STEPS_MAX), .fallback = "0", IN(STEP, TRAIN | DOCTOR),
     .help = "length of the schedule, warm-up included, after which the rate stays what it has become; 0: that of all epochs"},
    {COUNT("warmup-steps", warmup_steps, 0, STEPS_MAX), .automatic = true, .fallback = "auto", IN(STEP, TRAIN | DOCTOR),
     .help = "steps of rising learning rate at the start; auto: 100, but at most a tenth of the schedule"},
    {FLAG("no-shuffle", no_shuffle), IN(STEP, TRAIN | DOCTOR), .help = "samples in the files' order"},
    {REAL("label-smoothing", label_smoothing, 0, 0.999), .fallback = "0.05", .unsaid = "0", IN(STEP, TRAIN),
     .help = "share of each target that is spread over all classes"},
    {COUNT("eval-every", eval_every, 0, STEPS_MAX), .fallback = "0", IN(STEP, TRAIN),
     .help = "steps between evaluations, besides those at the end of each epoch; 0: none"},
    {REAL("target-accuracy", target_accuracy, 0, 1), .fallback = "0", IN(STEP, TRAIN), .scope = SCOPE_PART,
     .help = "end the run as soon as an evaluation reaches the accuracy X, such as 0.99; 0: never"},
    {COUNT("skip-bad-steps", skip_bad_steps, 0, STEPS_MAX), .fallback = "0", IN(STEP, TRAIN),
     .help =
         "let a step whose loss or gradient is not finite change nothing, up to N in a row; after more go back, once, to the newest "
         "checkpoint of the run folder, and take the same steps again. For faults that pass, such as a flipped bit: a rate that is "
         "too high ends the run all the same; 0: end at once"},

    {CHOICE("exchange", exchange, walk_exchange), .fallback = "auto", IN(PARALLEL, TRAIN | BENCH), .scope = SCOPE_PART,
     .help = "how ranks add their gradients; exchange_s in metrics.jsonl and summary.json is the part of a step's time that it "
             "did not hide behind computing"},
    {CHOICE("wire", wire, option_wires), .fallback = "fp32", IN(PARALLEL, TRAIN | BENCH),
     .help = "numbers on the network between nodes"},
    {COUNT("micro-batches", micro_batches, 0, 65536), .former_name = "slices", .fallback = "0", IN(PARALLEL, TRAIN | BENCH),
     .help = "cut each batch into N parts that are added in a fixed order, so that results do not depend on the number of "
             "ranks; 0: as many as ranks"},
    {COUNT("bucket", bucket, 0, 1024), .fallback = "0", IN(PARALLEL, TRAIN | BENCH), .scope = SCOPE_PART,
     .help = "MiB that --exchange overlap sends at once; 0: timed at the start, or, where nothing is timed, 4"},
    {FLAG("no-factors", no_factors), IN(PARALLEL, TRAIN | BENCH),
     .help =
         "write the gradients of all dense layers to memory; otherwise, where all ranks share memory and batches are small, those "
         "of the large ones stay products of two thin matrices until weights are updated with them"},
    {COUNT("threads", threads, 0, THREADS_MAX), .fallback = "0", .common = true,
     IN(PARALLEL, TRAIN | EVAL | INFO | BENCH | DOCTOR | PREDICT), .scope = SCOPE_PART,
     .help = "threads of each rank; 0: $OMP_NUM_THREADS, or else the cores that this rank may use, shared with the node's other "
             "ranks"},
    {COUNT("check-every", check_every, 0, STEPS_MAX), .fallback = "100", IN(PARALLEL, TRAIN),
     .help =
         "check every N steps, and before each evaluation and checkpoint, that all ranks hold the same bits of weights and velocity, "
         "and those that the last update left; 0: only before evaluations and checkpoints"},
    {COUNT("replay-every", replay_every, 0, STEPS_MAX), .fallback = "0", IN(PARALLEL, TRAIN),
     .help =
         "every N steps let each rank compute one of its micro-batches twice, and end the run if a bit of loss, outputs or gradient is "
         "another the second time: a processor or memory that errs in silence; 0: never"},
    {COUNT("hang-timeout", hang_timeout, 0, 1000000), .fallback = "600", IN(PARALLEL, TRAIN | EVAL), .scope = SCOPE_RUN,
     .help = "end the run, with a line that says which rank was where, when nothing has moved for N seconds; 0: wait for ever"},

    {CHOICE("part", part, walk_part), .fallback = "all", IN(BENCHMARK, BENCH), .scope = SCOPE_RUN,
     .help = "what is measured, besides the machine's limits"},
    {COUNT("repeats", repeats, 1, 100000), .fallback = "15", IN(BENCHMARK, BENCH), .scope = SCOPE_RUN,
     .help = "timed steps, of which the median counts"},
    {TEXT("plot", plot, "DIR"), IN(BENCHMARK, BENCH | DOCTOR), .scope = SCOPE_CALL,
     .help =
         "draw layers.svg and roofline.svg there (doctor: layers.png and rates.png, what comes through the layers and a range test of "
         "the learning rate), with gnuplot"},

    {TEXT("output", output, "DIR"), .common = true, IN(OUTPUT, TRAIN), .scope = SCOPE_CALL,
     .help = "run folder; otherwise runs/<time>"},
    {COUNT("checkpoint-every", checkpoint_every, 0, 1000000), .fallback = "1", IN(OUTPUT, TRAIN),
     .help = "epochs between checkpoints; 0: none"},
    {COUNT("checkpoint-steps", checkpoint_steps, 0, STEPS_MAX), .fallback = "0", IN(OUTPUT, TRAIN),
     .help = "steps between checkpoints as well; 0: none"},
    {FLAG("no-background-saves", no_background_saves), IN(OUTPUT, TRAIN), .scope = SCOPE_RUN,
     .help =
         "let training wait while a checkpoint is written; otherwise, where there is memory for a copy, it waits for that alone, but "
         "for the last one"},
    {COUNT("keep", keep, 0, 1000000), .fallback = "3", IN(OUTPUT, TRAIN),
     .help = "checkpoints that stay, besides the best and those that --resume named; 0: all"},
    {TEXT("resume", resume, "RUN|auto"), .common = true, .bare = "newest", IN(OUTPUT, TRAIN), .scope = SCOPE_CALL,
     .help =
         "go on from a checkpoint: RUN is that file, or a run folder, whose newest is taken, and unless --output says otherwise "
         "the run goes on there; without RUN the newest in --output; auto: likewise, or from the start if there is none. What "
         "describes the training is as in the checkpoint unless named: all of Data, Model and Training but --plan-cache "
         "and --max-steps; --wire, --micro-batches, --no-factors, --check-every, --replay-every, --checkpoint-*, --keep; and the exchange "
         "and the algorithms that were chosen. What the folder holds of later steps is set aside in its folder abandoned/"},
    {CHOICE("progress", progress, walk_progress), .fallback = "auto", IN(OUTPUT, TRAIN), .scope = SCOPE_RUN,
     .help = "on standard error"},
    {TEXT("trace", trace, "FILE"), IN(OUTPUT, TRAIN), .scope = SCOPE_CALL,
     .help =
         "timeline of some steps on all ranks, for ui.perfetto.dev or chrome://tracing: input, each layer's passes with their GFLOP and "
         "GFLOP/s, exchange with its waits and messages, update, evaluations, checkpoints"},
    {TEXT("trace-steps", trace_steps, "A:B"), IN(OUTPUT, TRAIN), .scope = SCOPE_CALL,
     .help =
         "the steps that --trace shows, from A to B, at most 1000 of them; otherwise the first 20 that are taken. The others cost "
         "nothing"},
    {TEXT("tensorboard", tensorboard, "DIR"), IN(OUTPUT, TRAIN), .scope = SCOPE_CALL,
     .help = "curves of the run for TensorBoard, in a new file of the folder DIR, as they come"},
    {TEXT("checkpoint", checkpoint, "FILE"), IN(OUTPUT, EVAL | PREDICT | EXPORT), .scope = SCOPE_CALL,
     .help =
         "the weights to evaluate, to predict with or to export (must be named): a checkpoint, or what `export --format weights` wrote"},
    {CHOICE("format", format, walk_format), IN(OUTPUT, EXPORT), .scope = SCOPE_CALL, .help = "of the file (must be named)"},
    {FLAG("json", json), IN(OUTPUT, EVAL | INFO | BENCH | DOCTOR | COMPARE | PREDICT), .scope = SCOPE_CALL, .help = "print JSON"},
    {TEXT("png", png, "FILE"), IN(OUTPUT, SHOW), .scope = SCOPE_CALL,
     .help = "write a sheet of training images there as well, a row for each label"},
    {TEXT("html", html, "FILE"), IN(OUTPUT, REPORT), .scope = SCOPE_CALL,
     .help = "write the page there; otherwise RUN/report.html"},
    {FLAG("quiet", quiet), IN(OUTPUT, COMMAND_ALL), .scope = SCOPE_CALL, .help = "only warnings and errors"},
    {FLAG("verbose", verbose), IN(OUTPUT, COMMAND_ALL), .scope = SCOPE_CALL, .help = "more about what was chosen, and why"},

    {CHOICE("preset", preset, walk_preset), .common = true, IN(GENERAL, TRAIN | DOCTOR | SHOW), .scope = SCOPE_CALL,
     .help = "a set of options; those named beside it win"},
    {TEXT("config", config, "FILE"), .common = true, IN(GENERAL, COMMAND_ALL), .scope = SCOPE_CALL,
     .help = "read options from lines `name = value`, or from the config.json of a run, which may not say where files are "
             "written; the command line wins"},
    {CHOICE("help", help, walk_help), .letter = 'h', .bare = "most", IN(GENERAL, COMMAND_ALL), .scope = SCOPE_CALL,
     .help = "print a help text (COMMAND --help: that of a command)"},
    {FLAG("version", version), .letter = 'V', IN(GENERAL, COMMAND_ALL), .scope = SCOPE_CALL, .help = "print the version"},
    {.name = NULL},
};
_Static_assert(sizeof option_table / sizeof option_table[0] <= OPTION_ROWS_MAX, "options.given is too short");

const option_row *option_find(const char *name)
{
    for (const option_row *row = option_table; row->name; row++) {
        bool formerly = row->former_name && strcmp(row->former_name, name) == 0;
        if (formerly || strcmp(row->name, name) == 0) return row;
    }
    return NULL;
}
