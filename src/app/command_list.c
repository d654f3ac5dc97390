#include "app/command.h"

#include <limits.h>
#include <string.h>

#include "app/commands.h"
#include "vgg11/base/table.h"

const command_row command_table[] = {
    {"train", "train, evaluate after each epoch, save checkpoints (what happens without a command)", NULL, COMMAND_TRAIN, NULL, 0,
     0, NULL, cmd_train},
    {"eval", "loss, accuracy and confusion matrix of a checkpoint", NULL, COMMAND_EVAL, NULL, 0, 0, NULL, cmd_eval},
    {"predict", "the digit in each picture, PNG or IDX, by a checkpoint",
     "A PNG file may have any size, colours and depth. It is inverted if its ground is light and that of the training's images dark, "
     "becomes a square by more of its ground, and is resized as in the training, those larger than 32x32 by way of 28x28, MNIST's own "
     "size: so a digit should be in the middle, about 20 of 28 parts high. What was done is said behind the digit. Images of an IDX "
     "file (plain or .gz) are taken as they are. A file that cannot be read is one line on standard error; the others are "
     "read all the same, and the exit status is that of the first such file.",
     COMMAND_PREDICT, "FILE...", 1, INT_MAX, "works", cmd_predict},
    {"export", "a checkpoint's weights for PyTorch, Keras, or a run",
     "What FILE was is replaced, unless it is a checkpoint, which a run can go on from. docs/weights.md has the networks that the "
     "formats fit.",
     COMMAND_EXPORT, "FILE", 1, 1, "works", cmd_export},
    {"show", "some training images, as the network sees them", NULL, COMMAND_SHOW, NULL, 0, 0, "works", cmd_show},
    {"report", "one HTML page of a run: charts, epochs, settings",
     "It is made of the run folder's metrics.jsonl and, where they are there, config.json and summary.json, at any time: of a run that "
     "goes on or was killed as well. The page needs no other file, and asks for nothing.",
     COMMAND_REPORT, "RUN", 1, 1, "works", cmd_report},
    {"doctor", "what is wrong with these options, and what to change", NULL, COMMAND_DOCTOR, NULL, 0, 0, "looks", cmd_doctor},
    {"compare", "where the bits of two runs part, and what may be why",
     "A and B are run folders or checkpoints. Compared are the loss, accuracy, gradient norm, factor of clipping, rate and test results of "
     "each step that both have, as metrics.jsonl has them, and weights and velocity of each checkpoint that both have, up to the first that "
     "differs; then what is recorded of how they were computed, the likeliest reason first. The exit status is 0 if all that both have "
     "is the same, and 10 if not.",
     COMMAND_COMPARE, "A B", 2, 2, "looks", cmd_compare},
    {"bench", "a step and its parts against the machine's own limits", NULL, COMMAND_BENCH, NULL, 0, 0, NULL, cmd_bench},
    {"info", "versions, processor, libraries, ranks, nodes, binding", NULL, COMMAND_INFO, NULL, 0, 0, NULL, cmd_info},
    {NULL, NULL, NULL, 0, NULL, 0, 0, NULL, NULL},
};

const command_row *command_find(const char *name) { return table_find(command_table, sizeof *command_table, name); }
