#include "app/command.h"

#include <string.h>

#include "app/commands.h"

const command_row command_table[] = {
    {"train", "train, evaluate after each epoch, save checkpoints (what happens without a command)", COMMAND_TRAIN, NULL, 0, 0,
     cmd_train},
    {"eval", "test loss, accuracy, per-class table and confusion matrix of a checkpoint", COMMAND_EVAL, NULL, 0, 0, cmd_eval},
    {"doctor", "what is wrong with a training of these options, and what to change", COMMAND_DOCTOR, NULL, 0, 0, cmd_doctor},
    {"bench", "a training step and each of its parts, on synthetic data, against the limits of this machine", COMMAND_BENCH, NULL,
     0, 0, cmd_bench},
    {"info", "versions, processor, libraries, ranks, nodes, threads and binding", COMMAND_INFO, NULL, 0, 0, cmd_info},
    {NULL, NULL, 0, NULL, 0, 0, NULL},
};

const command_row *command_find(const char *name)
{
    for (const command_row *row = command_table; row->name; row++) {
        if (strcmp(row->name, name) == 0) return row;
    }
    return NULL;
}
