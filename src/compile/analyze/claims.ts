/** Routes that ask for claims of tokens on a gateway that verifies none. */
import type { Problem } from '../../plan/problem.ts'
import type { CompileContext } from '../context.ts'
import { problem } from '../findings.ts'
import { needsClaims } from '../routes/match.ts'
import { selectionOf } from '../security/selection.ts'

export function checkClaims({ snapshot, bound, workload, options }: CompileContext): Problem[] {
  const verifies = snapshot.requestAuthentications.some(
    (policy) => (policy.spec.jwtRules ?? []).length > 0 && selectionOf(policy, workload, options) !== 'none',
  )
  if (verifies) return []
  const owners = [...new Set(bound.map(({ virtualService }) => virtualService))]
  return owners.flatMap((virtualService) =>
    (virtualService.spec.http ?? []).flatMap(({ match }, i) =>
      (match ?? []).flatMap((one, j) =>
        needsClaims(one)
          ? [
              problem('error', virtualService, `/spec/http/${i}/match/${j}`, {
                code: 'virtual-service/claims-without-request-authentication',
                istioCode: 'IST0149',
                message:
                  'the match asks for claims of a token, and no RequestAuthentication of this gateway verifies one',
                remedy: "Add a RequestAuthentication to the gateway's namespace.",
              }),
            ]
          : [],
      ),
    ),
  )
}
