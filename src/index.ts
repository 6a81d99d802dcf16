/** What a configuration file imports. */
export { defineConfig, type Config, type Limits, type MachineImage, type Variant } from './cli/config.ts';
