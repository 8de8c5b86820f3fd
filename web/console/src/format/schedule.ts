const days = ['Sundays', 'Mondays', 'Tuesdays', 'Wednesdays', 'Thursdays', 'Fridays', 'Saturdays'];

/** A cron expression in words, where it has easy ones. */
export function scheduleWords(expr: string): string {
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = expr.trim().split(/\s+/);
  const number = /^\d{1,2}$/;
  if (month === '*' && number.test(minute)) {
    const at = `at ${hour.padStart(2, '0')}:${minute.padStart(2, '0')}`;
    if (hour === '*' && day === '*' && weekday === '*')
      return `every hour at :${minute.padStart(2, '0')}`;
    if (number.test(hour)) {
      if (day === '*' && weekday === '*') return `every day ${at}`;
      if (day === '*' && weekday === '1-5') return `on weekdays ${at}`;
      if (day === '*' && /^[0-6]$/.test(weekday)) return `on ${days[Number(weekday)]} ${at}`;
      if (number.test(day) && weekday === '*') return `on day ${day} of the month ${at}`;
    }
  }
  return `by the schedule ${expr}`;
}
