#include "app/options/preset.h"

#include <stddef.h>

/* Images are resized as by Pillow's Image.resize(), whose default is bicubic (since version 7.0; nearest before). */
const preset presets[] = {
    {"question",
     "the setting of a Keras VGG11 that stays near chance, with its data loop mended",
     {{"train-samples", "6000"},
      {"epochs", "1"},
      {"batch-size", "32"},
      {"lr", "0.001"},
      {"momentum", "0.9"},
      {"clip-norm", "1"},
      {"clip-mode", "global"},
      {"weight-decay", "0"},
      {"schedule", "constant"},
      {"warmup-steps", "0"},
      {"init", "glorot"},
      {"resize", "bicubic"},
      {"normalize", "none"}}},
    {"question-bug",
     "the same with its data loop as it was: all images but two are zero",
     {{"preset", "question"}, {"resize-bug", "true"}}},
    {.name = NULL},
};
