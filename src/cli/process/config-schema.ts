// The JSON schema of a configuration file, made from the flags, so that neither can say what the other does not.
import type { FlagDefinition, FlagDefinitions } from '../terminal/arguments.js'

/** @param commands the flags of each command that reads such a file */
export function configSchema(commands: readonly FlagDefinitions[]): object {
  const flags = Object.entries(Object.assign({}, ...commands) as FlagDefinitions).filter(([name]) => name !== 'config')
  const properties = flags.map(([name, definition]) => [name, schemaOf(definition)] as const)
  const model = {
    type: 'object',
    required: ['name', 'model'],
    additionalProperties: false,
    properties: {
      name: { type: 'string', pattern: '^[\\w.-]{1,64}$', description: 'it is served at /m/NAME' },
      model: { type: 'string', description: "a model's folder, or a packaged model" },
      variant: { type: 'string', description: "one of the model's variants" },
      'store-mb': { type: 'integer', minimum: 1, maximum: 4096, description: 'memory for its material' },
    },
  }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'Configuration of ringfence helper, serve and delegate',
    type: 'object',
    additionalProperties: false,
    properties: {
      $schema: { type: 'string' },
      ...Object.fromEntries(properties),
      models: { type: 'array', items: model, description: 'serve: several models, the first also at every other path' },
    },
  }
}

function schemaOf({ type, range, description }: FlagDefinition): object {
  if (type === 'boolean') return { type, description }
  if (range) return { type: 'integer', minimum: range[0], maximum: range[1], description }
  return { type: ['string', 'number', 'array'], description }
}
