/* Private to app: the configurations of a step and of its optimizer from the options, in one place for all commands. */
#ifndef VGG11_APP_STEP_CONFIG_H
#define VGG11_APP_STEP_CONFIG_H

#include "app/options/options.h"
#include "vgg11/train/optimizer.h"
#include "vgg11/train/step.h"

/* `plan_cache`, and the texts of `o`, must outlive it; plan_cache may be NULL for none. */
training_step_config step_config_of(const options *o, int threads, const char *plan_cache);

optimizer_config optimizer_config_of(const options *o, int threads);

#endif
