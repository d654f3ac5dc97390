/* Private to app: what is recorded of how a run computed, as a flat list of names and texts. */
#ifndef VGG11_APP_COMPARE_FACTS_H
#define VGG11_APP_COMPARE_FACTS_H

#include <jansson.h>

#include "app/compare/side.h"
#include "vgg11/checkpoint/checkpoint.h"

/* Names begin alike for what is alike: "option seed", "algorithm of conv1, forward", "library OpenBLAS". Every value is a string. Each of
 * these adds to `facts`, an object, what it finds and is not there yet; false without memory. */

/* Of a line `start` of metrics.jsonl. */
bool compare_facts_of_start(const char *line, json_t *facts);

/* Of a checkpoint's header. */
bool compare_facts_of_header(const checkpoint_state *state, json_t *facts);

/* Of a run folder: its config.json or, where that says nothing, its summary.json. A file that is missing, damaged or longer than such
 * a file gets tells nothing. */
bool compare_facts_of_folder(const compare_side *side, json_t *facts);

/* The text of that fact; NULL if it is not known. */
const char *compare_fact(const json_t *facts, const char *name);

#endif
