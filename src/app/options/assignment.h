/* Private to app: values as they are collected, before any is checked. */
#ifndef VGG11_APP_OPTIONS_ASSIGNMENT_H
#define VGG11_APP_OPTIONS_ASSIGNMENT_H

#include "app/options/options.h"

typedef struct {
    const option_row *row;
    char *value; /* owned */
    char *where; /* owned; begins the message if the value is bad */
} assignment;

typedef struct {
    assignment *items;
    size_t count;
    size_t capacity;
    char passed_over[OPTION_PASSED_OVER_MAX]; /* by option_file_read() */
} assignment_list;

/* Appends copies. VGG_UNAVAILABLE without memory. */
vgg_status assignment_add(assignment_list *list, const option_row *row, const char *value, const char *where);
void assignment_free(assignment_list *list);

/* The last value of the option of this name; NULL if there is none. */
const char *assignment_last(const assignment_list *list, const char *name);

/* Reads `path`: lines `name = value` and `# comments`, or a JSON object with option names as keys, or such an object under
 * the key "options". VGG_BAD_OPTION names the path, and the line. JSON is what a run leaves, and may be anybody's: what it says
 * of where files are, besides the data set's, goes into list->passed_over alone. */
vgg_status option_file_read(const char *path, assignment_list *list);

/* Reads, of the JSON object `text`, the options of SCOPE_TRAINING of `command`'s bit. What else it has is passed over: an older
 * or a newer program may have written it. VGG_BAD_CHECKPOINT names `path`. */
vgg_status option_training_read(const char *path, const char *text, unsigned command, assignment_list *list);

/* VGG_BAD_OPTION: "<where>unknown option '<name>'; did you mean ...?". */
vgg_status option_unknown(const char *where, const char *name);

#endif
