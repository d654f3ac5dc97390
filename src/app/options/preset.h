/* Private to app: named sets of options. */
#ifndef VGG11_APP_OPTIONS_PRESET_H
#define VGG11_APP_OPTIONS_PRESET_H

typedef struct {
    const char *option;
    const char *value;
} preset_setting;

enum { PRESET_SETTINGS_MAX = 20 };

typedef struct {
    const char *name;
    const char *good_when;
    preset_setting settings[PRESET_SETTINGS_MAX]; /* ended by a row without an option, unless it is full; may name another preset */
} preset;

extern const preset presets[]; /* ended by a row without a name */

#endif
