/** An upstream where there is no nginx. `node upstream.ts PORT BYTES` */
import { createServer } from 'node:http'

const [port, bytes] = process.argv.slice(2).map(Number)
const body = Buffer.alloc(bytes ?? 0, 'x')
const headers = { 'content-type': 'text/plain', 'content-length': body.length }

createServer((_request, response) => {
  response.writeHead(200, headers)
  response.end(body)
}).listen(port, '127.0.0.1')
