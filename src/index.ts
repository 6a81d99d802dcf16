/** What a configuration file imports. */
export { defineConfig, type Config, type Limits, type Variant } from './cli/config.ts';
