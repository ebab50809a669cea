// The flags of a queue, wherever a command can use one.
import type { FlagDefinitions } from '../../terminal/arguments.js'

export const QUEUE_FLAGS = {
  queue: {
    type: 'string',
    valueHint: 'URL',
    description:
      'the queue that machines share: nats://HOST:PORT here, tls:// elsewhere, file:///FOLDER on one machine',
  },
  'queue-credentials': {
    type: 'string',
    valueHint: 'FILE',
    description: 'what the broker asks for: USER:PASSWORD, or a .creds file',
  },
} as const satisfies FlagDefinitions
