// The helper deals randomness and sees nothing else. It has to be run by someone who sides with neither party.
import { Helper } from 'ringfence/helper'
import { listen } from 'ringfence/node'

const port = Number(process.argv[2] ?? 7701)
const helper = await Helper.create({ onError: (error) => console.error(error.message) })
const { url } = await listen({ port, onConnection: (channel) => helper.run(channel) })
console.log(`helper at ${url}`)
