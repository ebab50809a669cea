// A helper on whatever host runs this. Prints its address.
import { Helper } from '../../dist/helper.js'
import { listen } from '../../dist/node.js'

const helper = await Helper.create()
const { url } = await listen({ host: '127.0.0.1', port: 0, onConnection: (channel) => void helper.run(channel) })
console.log(JSON.stringify({ url }))
