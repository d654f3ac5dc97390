/* Private to report and app: lists of JSON that are whole, or not there. */
#ifndef VGG11_REPORT_JSON_LIST_H
#define VGG11_REPORT_JSON_LIST_H

#include <jansson.h>

/* Adds `value`, whose reference it takes over, to *list. Where there was no memory for either, *list is NULL from then on. */
void json_list_add(json_t **list, json_t *value);

#endif
