/* Values: from text, checked against the row's type and range, and back to text. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/options/value.h"
#include "app/command.h"

enum { SHOWN_MOST = 60, REAL_DIGITS = 15 }; /* what any decimal that a user writes survives */

const char *option_shown(const char *value, char shown[OPTION_SHOWN_BYTES])
{
    size_t length = strlen(value), kept = length > SHOWN_MOST ? SHOWN_MOST : length;
    for (size_t i = 0; i < kept; i++) {
        unsigned char byte = (unsigned char)value[i];
        shown[i] = byte < ' ' || byte > '~' ? '?' : (char)byte;
    }
    strcpy(shown + kept, length > SHOWN_MOST ? "..." : "");
    return shown;
}

static void *member(options *o, const option_row *row) { return (char *)o + row->offset; }
static const void *const_member(const options *o, const option_row *row) { return (const char *)o + row->offset; }

/* A setter's VGG_BAD_OPTION has no message yet: option_set() makes it. */
static vgg_status accept(bool right) { return right ? VGG_OK : VGG_BAD_OPTION; }

static vgg_status no_memory(const option_row *row) { return vgg_fail(VGG_UNAVAILABLE, "not enough memory for --%s", row->name); }

static vgg_status set_flag(options *o, const option_row *row, const char *value)
{
    bool on = strcmp(value, "true") == 0;
    *(bool *)member(o, row) = on;
    return accept(on || strcmp(value, "false") == 0);
}

/* Digits alone: strtoull() would also take spaces, signs and 0x. */
static vgg_status set_count(options *o, const option_row *row, const char *value)
{
    if (row->automatic && strcmp(value, "auto") == 0) {
        *(uint64_t *)member(o, row) = OPTION_AUTO;
        return VGG_OK;
    }
    if (*value == '\0' || value[strspn(value, "0123456789")] != '\0') return VGG_BAD_OPTION;
    errno = 0;
    uint64_t number = strtoull(value, NULL, 10);
    *(uint64_t *)member(o, row) = number;
    return accept(errno == 0 && number >= row->least && number <= row->most);
}

/* As files keep it, so that a run that goes on by what they say computes with the same bits. */
static double as_kept(double number)
{
    char text[64];
    snprintf(text, sizeof text, "%.*g", REAL_DIGITS, number);
    return strtod(text, NULL);
}

/* The square root keeps the noise of the steps alike (Krizhevsky, arXiv:1404.5997, section 5); 0.05 was found by trial at 128. */
void option_derive_rate(options *o)
{
    enum { REFERENCE_BATCH = 128 };
    if (o->lr == 0) o->lr = as_kept(0.05 * sqrt((double)o->batch_size / REFERENCE_BATCH));
}

/* Decimal notation alone: strtod() would also take spaces, hexadecimal, inf and nan. */
static vgg_status set_real(options *o, const option_row *row, const char *value)
{
    if (*value == '\0' || *value == '+' || value[strspn(value, "0123456789.eE+-")] != '\0') return VGG_BAD_OPTION;
    char *end;
    errno = 0;
    double number = strtod(value, &end);
    *(double *)member(o, row) = as_kept(number);
    return accept(errno == 0 && *end == '\0' && number >= row->low && number <= row->high);
}

static vgg_status keep_text(options *o, const option_row *row, const char *value)
{
    char **slot = member(o, row);
    free(*slot);
    *slot = strdup(value);
    return *slot ? VGG_OK : no_memory(row);
}

static vgg_status set_choice(options *o, const option_row *row, const char *value)
{
    return option_choice_index(row->choices, value) >= 0 ? keep_text(o, row, value) : VGG_BAD_OPTION;
}

/* JSON files will hold it, and messages must stay one line. */
vgg_status option_check_text(const char *value)
{
    size_t length = strlen(value);
    if (length == 0 || length >= OPTION_TEXT_MAX || value[strcspn(value, "\n\r")] != '\0') return VGG_BAD_OPTION;
    errno = 0;
    json_t *utf8 = json_string(value);
    json_decref(utf8);
    return utf8 ? VGG_OK : errno == ENOMEM ? VGG_UNAVAILABLE : VGG_BAD_OPTION;
}

static vgg_status set_text(options *o, const option_row *row, const char *value)
{
    vgg_status status = option_check_text(value);
    if (status == VGG_UNAVAILABLE) return no_memory(row);
    return status == VGG_OK ? keep_text(o, row, value) : status;
}

static void join_choices(option_choices choices, char *text, size_t bytes)
{
    option_choice choice;
    size_t used = 0;
    for (size_t i = 0; used < bytes && choices(i, &choice); i++) {
        used += (size_t)snprintf(text + used, bytes - used, "%s%s", i ? ", " : "", choice.name);
    }
}

static void expect_flag(const option_row *row, char *text, size_t bytes) { (void)row, snprintf(text, bytes, "true or false"); }

static void expect_count(const option_row *row, char *text, size_t bytes)
{
    snprintf(text, bytes, "a whole number from %" PRIu64 " to %" PRIu64 "%s", row->least, row->most,
             row->automatic ? ", or auto" : "");
}

static void expect_real(const option_row *row, char *text, size_t bytes)
{
    snprintf(text, bytes, "a number from %g to %g", row->low, row->high);
}

static void expect_choice(const option_row *row, char *text, size_t bytes)
{
    int used = snprintf(text, bytes, "one of ");
    join_choices(row->choices, text + used, bytes - (size_t)used);
}

static void expect_text(const option_row *row, char *text, size_t bytes)
{
    (void)row;
    snprintf(text, bytes, "one line of 1 to %d bytes of UTF-8", OPTION_TEXT_MAX - 1);
}

static void print_flag(const void *value, char *text) { strcpy(text, *(const bool *)value ? "true" : "false"); }

static void print_count(const void *value, char *text)
{
    uint64_t count = *(const uint64_t *)value;
    if (count == OPTION_AUTO)
        strcpy(text, "auto");
    else
        snprintf(text, OPTION_TEXT_MAX, "%" PRIu64, count);
}

/* The shortest that reads back as the same number. */
static void print_real(const void *value, char *text)
{
    double number = *(const double *)value;
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, OPTION_TEXT_MAX, "%.*g", digits, number);
        if (strtod(text, NULL) == number) return;
    }
}

static void print_text(const void *value, char *text)
{
    const char *string = *(char *const *)value;
    snprintf(text, OPTION_TEXT_MAX, "%s", string ? string : "");
}

typedef struct {
    vgg_status (*set)(options *o, const option_row *row, const char *value);
    void (*expect)(const option_row *row, char *text, size_t bytes);
    void (*print)(const void *value, char *text);
} value_kind;

static const value_kind kinds[] = {
    [OPTION_FLAG] = {set_flag, expect_flag, print_flag}, [OPTION_COUNT] = {set_count, expect_count, print_count},
    [OPTION_REAL] = {set_real, expect_real, print_real}, [OPTION_CHOICE] = {set_choice, expect_choice, print_text},
    [OPTION_TEXT] = {set_text, expect_text, print_text},
};

vgg_status option_set(options *o, const option_row *row, const char *value, const char *where)
{
    vgg_status status = kinds[row->type].set(o, row, value);
    if (status != VGG_BAD_OPTION) return status;
    char expected[VGG_MESSAGE_MAX / 2], shown[OPTION_SHOWN_BYTES];
    kinds[row->type].expect(row, expected, sizeof expected);
    return vgg_fail(VGG_BAD_OPTION, "%s '%s': expected %s", where, option_shown(value, shown), expected);
}

void option_expected(const option_row *row, char *text, size_t bytes) { kinds[row->type].expect(row, text, bytes); }

void option_value_text(const options *o, const option_row *row, char text[OPTION_TEXT_MAX])
{
    kinds[row->type].print(const_member(o, row), text);
}

static json_t *count_json(uint64_t count) { return count == OPTION_AUTO ? json_string("auto") : json_integer((json_int_t)count); }

static json_t *value_json(const options *o, const option_row *row)
{
    const void *value = const_member(o, row);
    switch (row->type) {
    case OPTION_FLAG: return json_boolean(*(const bool *)value);
    case OPTION_COUNT: return count_json(*(const uint64_t *)value);
    case OPTION_REAL: return json_real(*(const double *)value);
    default: return *(char *const *)value ? json_string(*(char *const *)value) : json_null();
    }
}

char *options_json(const options *o, option_scope widest)
{
    json_t *object = json_object();
    bool whole = object != NULL;
    for (const option_row *row = option_table; whole && row->name; row++) {
        if (row->scope <= widest && (row->commands & o->command->bit))
            whole = json_object_set_new(object, row->name, value_json(o, row)) == 0;
    }
    char *text = whole ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS)) : NULL;
    json_decref(object);
    return text;
}
