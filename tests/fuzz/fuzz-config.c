/* SPDX-License-Identifier: BSD-2-Clause */
/* Any file is either a configuration or at least one error, and never both. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "daemon/config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_errors errors = {0};
	struct config *config = NULL;
	int r = config_parse(&config, "f", data, size, &errors);

	if (r < 0 || (r == 0) != (errors.n == 0) || (r == 0) != (config != NULL) ||
	    errors.n > CONFIG_ERRORS_MAX + 1 || (errors.n && strlen(errors.text) != errors.len))
		abort();
	config_free(config);
	config_errors_deinit(&errors);
	return 0;
}
