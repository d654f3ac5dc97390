#include "app/options/preset.h"

#include <stddef.h>

/* Images are resized as by Pillow's Image.resize(), whose default is bicubic (since version 7.0; nearest before). */
/* Chosen on 5,000 images held out of the training set; docs/performance.md has what was tried. Small batches, and each tensor's gradient clipped by
 * its own norm, so that every layer takes steps of a length that fits it from the first one on. */
const preset presets[] = {
    {"fast",
     "one epoch to 99 % and more",
     {{"epochs", "1"},
      {"batch-size", "64"},
      {"lr", "0.03"},
      {"clip-norm", "1"},
      {"clip-mode", "tensor"},
      {"schedule", "linear"},
      {"warmup-steps", "20"},
      {"init", "looks-linear"},
      {"label-smoothing", "0.05"},
      {"augment", "none"},
      {"precision", "auto"}}},
    {"best",
     "the same, many epochs of images that are turned, scaled and moved",
     {{"preset", "fast"}, {"epochs", "12"}, {"batch-size", "128"}, {"lr", "0.05"}, {"augment", "affine"}}},
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
      {"label-smoothing", "0"},
      {"augment", "none"},
      {"precision", "fp32"},
      {"resize", "bicubic"},
      {"normalize", "none"}}},
    {"question-bug",
     "the same with its data loop as it was: all images but two are zero",
     {{"preset", "question"}, {"resize-bug", "true"}}},
    {.name = NULL},
};
