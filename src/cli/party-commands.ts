// The commands that are a party, or speak to one.
export { bench } from './commands/bench.js'
export { delegate } from './commands/delegate.js'
export { demo } from './commands/demo.js'
export { doctor } from './commands/doctor.js'
export { helper } from './commands/helper.js'
export { infer } from './commands/infer.js'
export { register } from './commands/register.js'
export { serve } from './commands/serve.js'
