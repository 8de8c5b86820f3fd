import type { Campaign } from '../api/queries';
import { type Cell, Table } from '../chart/Table';
import type { Arm, Lift } from '../explore/measure';
import { useMeasure } from '../explore/useMeasure';
import { plural } from '../format/number';
import { periodWords } from '../format/pattern';
import { Card } from '../ui/Page';
import { Failure, Loading } from '../ui/states';
import { AsOf } from '../ui/time';
import css from '../ui/ui.module.css';

const percent = (share: number) => `${(share * 100).toFixed(1)} %`;
const points = (x: number) => `${x < 0 ? '−' : '+'}${Math.abs(x * 100).toFixed(1)}`;

/** What a campaign with a goal did, beside those who were held back from it. */
export function Achieved({ campaign }: { campaign: Campaign }) {
  const { goal } = campaign.spec;
  const answer = useMeasure(
    goal && {
      return: {
        campaign: campaign.name,
        goal: { event: goal.event },
        within: goal.within,
        ...(goal.value ? { value: goal.value } : {}),
      },
    },
    { live: true },
  );
  if (!goal) return null;
  const got = answer.data?.return;
  return (
    <Card
      title="What it achieved"
      aside={answer.data && <AsOf at={new Date(answer.data.asOf / 1000)} />}
    >
      {answer.error && !got ? (
        <Failure error={answer.error} retry={answer.refetch} />
      ) : !got ? (
        <Loading rows={3} />
      ) : (
        <div className={css.stack} data-testid="achieved">
          <p className={css.statHint} style={{ margin: 0 }}>
            {goal.event} within {periodWords(goal.within)} of the first message, or of being held
            back
          </p>
          <Table
            label="Those who got it, and those who were held back"
            head={['Users', 'In all', 'Converted', 'Share', ...(goal.value ? ['Value'] : [])]}
            rows={[
              { key: 'treated', cells: cells('Got it', got.treated) },
              { key: 'holdout', cells: cells('Held back', got.holdout) },
            ].map((row) => ({ ...row, cells: row.cells.slice(0, goal.value ? 5 : 4) }))}
          />
          <p style={{ margin: 0 }} data-testid="lift">
            {verdict(got.treated, got.holdout, got.lift)}
          </p>
          {got.met > 0 && (
            <p className={css.statHint} style={{ margin: 0 }} data-testid="met">
              {plural(got.met, 'user')} turned out to be on both sides and{' '}
              {got.met === 1 ? 'is' : 'are'} left out.
            </p>
          )}
        </div>
      )}
    </Card>
  );
}

const cells = (name: string, arm: Arm): Cell[] => [
  name,
  arm.users,
  arm.converted,
  arm.users > 0 ? percent(arm.converted / arm.users) : '–',
  arm.value,
];

/** What the two groups say of the campaign, and how sure that is. */
export function verdict(treated: Arm, holdout: Arm, lift: Lift | undefined): string {
  if (treated.users === 0) return 'Nobody got it yet, so there is nothing to compare.';
  if (holdout.users === 0 || !lift) {
    return 'Nobody is held back, so what would have happened anyway is not known.';
  }
  const range = `${points(lift.difference)} points, with a confidence of 95 % between ${points(lift.low)} and ${points(lift.high)}`;
  if (lift.low <= 0 && lift.high >= 0) {
    return `Lift: ${range}. It cannot be told apart from chance yet.`;
  }
  return `Lift: ${range}.`;
}
