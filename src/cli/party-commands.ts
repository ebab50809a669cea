// The commands that are a party, or speak to one.
export { bench } from './commands/bench.js'
export { demo } from './commands/demo.js'
export { doctor } from './commands/doctor.js'
export { infer } from './commands/infer.js'
export { delegate } from './commands/services/delegate.js'
export { helper } from './commands/services/helper.js'
export { register } from './commands/services/register.js'
export { serve } from './commands/services/serve.js'
