"""What is told of the built-in world: plots of stories and entries of the encyclopedia, in the notation of `lexicon`.

A line that begins with `=` is not said: it names a part that `world.py` casts (a friend, an animal, a wish, a town) or
a passage that depends on the facts. Everything here was written for groundup.
"""

OPENINGS = (
    "One <{s}> <part> in {s}, ",
    "It was @ <{s}> <part> in {s}. ",
    "On @ <{s}> {s} <part>, ",
    "It happened in {s}, on @ <{s}> <part>. ",
    "Early one <{s}> morning in {s}, ",
)

HERO = (
    "[, who lived in {village} with {his} {relative},*2|, [a|one] of the children of {village},|*3] was "
    "[feeding {pet_name} the {pet_coat} {pet} [in|behind|beside|outside] the <yard>*3"
    "|brushing {pet_name} the {pet_coat} {pet} [in|behind|beside|outside] the <yard>"
    "|helping {his} {relative} to [<wash> <number> <roots>|<bake> <number> <cakes>|<mend> @ <look> <tool>]*3"
    "|<tidying> the <room> [for {his} {relative}|with @ <look> broom|before <meal>]"
    "|sitting on @ <look> <seat> near <landmark>, [eating|sharing] <taste> <cakes>*2"
    "|watching <number> <beast> <herd> <resting> <spot>*2"
    "|carrying @ <box> of <food> [home from|past|to] <landmark>*2"
    "|waiting for {his} {relative} [near|in front of] <landmark>, with {pet_name} the {pet_coat} {pet} beside {him}]."
)

NATURE = {
    "spring": "[ The first flowers were <colour> and <colour2>.| Rain <dripped> from the <roofs>.| Young <herd> played"
    " <spot>.| The air smelled of wet <earth>.|*3]",
    "summer": "[ The <roofs> were hot in the sun.| Bees hummed <spot>.| The air smelled of dry <earth>.| Nobody in"
    " {village} wanted to <wash> anything.|*3]",
    "autumn": "[ Leaves, <colour> and <colour2>, lay on the <roofs>.| The wind <shook> the <roofs>.| Smoke rose from"
    " the <roofs>.| The air smelled of <earth> and smoke.|*3]",
    "winter": "[ Snow <covered> the <roofs>.| Ice hung from the <roofs>.| The <herd> stayed in the <yard>.| Smoke"
    " rose from the <roofs>.|*3]",
}

SIGHT = (
    "[ On the way {he} <saw> <number> <beast> <herd> <resting> <spot>.*3"
    "| [Near|Behind|Not far from] <landmark> {he} met [<person>], who was carrying <number> <wares>."
    "| {Pet_name} the {pet} [came too|ran ahead|followed {him}|trotted behind].*2|*3]"
)

GATHERING = " [So|At once] {name} <picked> @ <box> of {food} {field}"
FETCHING = " [So|At once] {name} [took|fetched] @ <box> of [dried|last year's|stored] {food} from the <room>"
ROAD = "[,| and] put on {his} <clothing> and <walked> <slowly> <along> the <way> <path> to {home_place}."

PLOTS: dict[str, tuple[str, ...]] = {
    "lost": (
        " <Then> {he} [noticed|saw|found out] that {his} {thing} [was gone|was missing|had disappeared].",
        " [{maker} the {craft} had made it of {material}|It was made of {material} by {maker} the {craft}], and {he}"
        " [loved|liked|treasured] it more than [all {his} <belongings>|anything else|any other thing]."
        " {He} [looked|searched] in the <room> and <spot>, but [found only|saw only|there was only]"
        " [<number> <beast> <herd>|@ <look> <tool>|@ <colour> <clothing>].\n\n",
        '"<Oh>!" [{he} cried|said {name}|cried {name}|said {name} <voice>]. "[Where can it be|What shall I do|Who can'
        ' help me]?" {His} {relative} put down @ <look> <tool> and <said>, "[Ask|Go and ask|You could ask] the ',
        "=animal",
        ". It lives {home}, and it [sees|hears|notices] everything[.|, even at night.| in {village}.]"
        ' [But|And] [take|bring] it some {food}!"',
        "=gathering",
        ROAD,
        "\n\nThe {animal} [ate|tasted|chewed] the {food} [one by one|<slowly>|with closed eyes|without a word]"
        ' and made {sound}. "I saw your {thing} [this morning|yesterday|last night|an hour ago]," it <said> <voice>.'
        ' "[Look|Search|You will find it] <spot>:where." {name} [thanked it|thanked the {animal}|said goodbye] and'
        " <walked> there <slowly>. [And there|There] {he} found the {thing}, <state> but whole. How <glad> {he} was!",
        " <Evening> {he} [hung it over {his} bed|put it on the table|showed it to {pet_name} the {pet}|laid it beside"
        " the <light>]. [Every {season}|Once a week|From then on], {name} [brought|took|carried] the {animal} [a <box>"
        " of|some|the best] {food}.",
    ),
    "wish": (
        " <Weeks> {he} had [wished for|wanted|dreamed of] @ ",
        "=wish",
        " of {material}, [like|just like] the one that {maker} the {craft} [kept in the window|had made for"
        " {his} {relative}|sold at the market]. But it cost [<big> <price>:price], and in {his} <box> there were"
        " only <number>.\n\n",
        '"[May|Could] I work for [it|the {thing}]?" {he} asked [{maker}|the {craft}] <voice>. "<Yes>," said {maker}.'
        ' "[Come|Start|Be here] on <day>." So {name} [went|walked|set out] to {mvillage}. [First|On the first day]'
        " {he} [washed|counted|sorted|carried] <big> <wares>, [then|next|after that] {he} [cleaned|mended|painted]"
        " the <room>, and [at last|in the end|on the third day] {mhe} let {him} hold {mhis} {tool}.",
        " {His} [arms|hands|feet|fingers] [hurt|were <state>|were tired], but {he} [sang|smiled|went on|never stopped]."
        "[ <Meal> was <taste> <dish> and <number> <cakes>.|]\n\n",
        "<Later> {maker} [opened|unlocked] @ <look> [box|cupboard|chest] and took out the {thing}."
        ' "[You have earned it|It is yours|This is for you]," {mhe} <said> <voice>[. "Nobody works as well as you."|.]'
        " {name} was so <glad> that {he} <walked> home [singing|laughing|dancing|without stopping]."
        " <Evening> {he} showed the {thing} to [{his} {relative}|{pet_name} the {pet}|everyone], and"
        " [from that day|all that {season}|for many years] it [was good for {use}|served for {use}].",
    ),
    "quarrel": (
        " {His} friend ",
        "=friend",
        " [came|came over|came running] from <landmark> with @ <look> <tool>. They [played|worked|talked]"
        " <spot> until {friend} [wanted|asked for|reached for] {name}'s {thing}.\n\n",
        '"[It is mine|That is my {thing}|Leave it alone]!" [cried {name}|{name} cried|said {name} <voice>]. "[You'
        ' never share|You are not fair|I only want to hold it]!" [cried|answered|said] {friend}. They both [pulled'
        "|tugged], and [down it fell|it fell down|it flew] <spot>:where. Now it was <dirty> and <dirty2>. {friend}"
        " <walked> home [without a word|in tears|with @ <colour> face], and {name} [stood|stayed] there, <sad> and <sad2>.",
        "\n\nAll [afternoon|day|evening] the <room> seemed [empty|dark|too quiet|cold]. Even the <taste> <dish> [tasted of"
        ' nothing|did not help]. "[A {thing} cannot laugh|A {thing} is only a {thing}|You can clean a {thing}]," said'
        ' {his} {relative} <voice>. "[A friend can|A friend is more|A friend is harder to mend]." {name} thought about'
        " [this|it] [while {he} fed {pet_name} the {pet}|for a long time|under the blanket].\n\n",
        "<Later> {he} [washed|cleaned|wiped] the {thing} and took it to {friend}, with @ <box> of <taste> <food>."
        ' "I am sorry," {he} said. "[So am I|I am sorry, too|I missed you]," {friend} <said>, and {fhe} [smiled|laughed'
        "|gave {him} <number> <cakes>]. They were <glad> again.",
        " [Since then|From that day on], the {thing} has [stayed with {name} on <day> and with {friend} on <day2>|lived"
        " in a <box> that belongs to both|belonged to {name} and {friend} together].",
    ),
    "help": (
        " [A <weak> <cry> came from|{He} heard a <weak> <cry> near|Something <moved> near] <landmark>. It was @ ",
        "=animal",
        ", [caught|stuck] [under @ <look> <tool>|between two <roofs>|in @ <look> <tool>].",
        ' "[Please|Oh, please] help me," it [said|whispered|begged] <voice>. "I [live|have my home] {home}, and I [am'
        ' too tired|am too weak|have hurt my foot]."\n\n',
        "{name} [was not afraid|did not wait|thought for a moment]. {He} [lifted|pulled|pushed] and [turned|shook],"
        " until [it was free|the {animal} was free]. [Then|After that] {he} wrapped it in {his} <clothing> and [carried"
        " it|took it] home to {home_place}, [past <landmark>|<along> the <way> <path>].",
        "=gathering",
        ", for [that is what @ {animal} likes best|nothing tastes better to @ {animal}]. It ate [<big>|<number>]"
        " [of them|mouthfuls], and [soon|then] it made {sound}.\n\n",
        "<Later> {name} lost {his} way [in the fog|in the dark|in the cold rain|behind the hills], [with"
        " {pet_name} the {pet}|with @ <box> of <food>]. {He} was <sad>, and the <path> was <way>. <Then> {he} heard"
        ' {sound}. "[Follow me|Come with me|This way]," said the {animal}. "[You carried me home|You helped me once|I'
        ' have not forgotten you]." They <walked> [side by side|together|one behind the other], past <landmark> and'
        " [past <number> <beast> <herd>|across @ <look> bridge|through the <way> lane], until [{name} saw|they saw] the"
        " [lights|roofs|chimneys] of {village}.",
        " {His} {relative} [was waiting|stood] at the [door|gate|window] with <taste> <dish>. [The next day|Next morning]"
        " there [was @ <box> of|were fresh] {food} {home}.",
    ),
    "storm": (
        " <Dark> clouds [came|rolled|rose] over <landmark>, and <then2> [thunder|the wind|a storm] shook the <roofs>."
        " {Pet_name} the {pet} [ran away|ran off|fled] <slowly2>.\n\n",
        '"{pet_name}! {pet_name}!" [cried|called|shouted] {name}, but [only the wind answered|nobody answered|the storm'
        " was louder]. {He} pulled on {his} <clothing> and [ran|hurried|climbed] after the {pet}, past <landmark> and"
        " <along> the <way> <path>. [Branches|Hats|Leaves|Buckets|Tiles] flew through the air. {He} looked <spot>, but"
        " [found only|there was only] @ <look> <tool>. {He} was <sad> and <dirty>. [At last|In the end] {he} came to the"
        " home of the ",
        "=animal",
        ", {home}.\n\n",
        '"[Come in|Come closer|Sit down]," [said|called|whispered] the {animal}, and made {sound}. [And who|Who] sat'
        ' beside it, <dirty> but safe? {Pet_name} the {pet}! "[It came to me when the thunder began|It was as afraid as'
        ' you are|I told it that you would come]," the {animal} <said> <voice>. {name} [hugged|stroked|kissed]'
        " {his} {pet}. [Together|All three] they [listened to|waited for the end of] the [rain|storm|thunder] and"
        " [told stories|sang songs|counted to <ten>|shared <number> <cakes>].\n\n",
        "[When the sky was clear|After the storm], [the lanes were full of mud|there was mud everywhere|the <path> had"
        " turned to mud], and @ <look> [tree|fence|wall|cart] lay <spot>. {name} <walked> home <slowly>, with {pet_name} in"
        " {his} arms. {His} {relative} was <glad> and [made|cooked|warmed] <taste> <dish>.",
        " <Later> they [took|carried|brought] the {animal} @ <box> of {food}, because [it had kept {pet_name} safe|a"
        " friend in a storm is a friend for life|that is what it likes best].",
    ),
    "market": (
        " [It was market day in|That was the day of the market in|There was to be a market in] ",
        "=town",
        ', and {his} {relative} [gave|handed] {him} <big> <wares>:goods to sell. "[Bring|Buy] [me|us] <number>'
        ' <food>:shopping, and [be home before dark|do not lose the money|spend the rest as you like]," {rhe}'
        " <said> <voice>.",
        " {name} put on {his} <clothing> and <walked> <slowly> <along> the <way> <path> to {town}.",
        "\n\n[Everyone in {town}|The whole of {town}|All {town}] was [busy|noisy|cheerful] that {day}. There were <taste>"
        " <cakes>, <colour> and <colour2> <clothing>s, and <number> <beast> <herd>, and [above it all|behind the stalls]"
        " [stood|one could see] {sight}. {name} [called|shouted] until {he} had sold [all|nearly all] the {goods} [to"
        " <person>|to <person> and <person2>|for a good price]. Then {he} [bought|paid for] the {shopping}, and <number>"
        " coins were left.",
        " {He} [could have bought|nearly bought] <taste> <cakes>, but [on the way|near the last stall] {he} [found|met] @ ",
        "=animal",
        " [with a hurt foot|shivering|too weak to move] <spot>. So {he} [spent the money|paid <number> coins] on @ <box>"
        " of {food}, [and the {animal} ate <slowly>|and fed the {animal}] until it made {sound}.\n\n",
        "It was [late|dark] when {name} <walked> home, and [soon|suddenly] {he} [could not see|lost] the <path>. [But"
        " who|Who] came [out of the dark|through the grass|from behind @ <look> [tree|fence|wall]]? The {animal}!"
        " It [knew|remembered] the way, and [led|took] {him} to {village}. {His} {relative} [counted|took] the {shopping}"
        ' and asked, "[And the rest of the money|What did you buy with the rest]?" "[A friend|A guide|A lamp for the road],"'
        " <said> {name} <voice>.",
        " <Evening> they ate <taste> <dish>, and [the best of it was kept for|they often spoke of|they drank to] the"
        " {animal} [that lives|which lives] {home}.",
    ),
    "secret": (
        " [Nobody|No one] [in {village}|at home|at school] knew that {he} had a secret. [Each|Every] <part> {he}"
        " [put|hid] @ <box> of ",
        "=food",
        " under {his} <clothing> and <walked> <slowly> <along> the <path>. [Nobody|No one] [asked|saw] why.\n\n",
        "But {his} friend ",
        "=friend",
        " [noticed|saw|wondered] it, and one <part2> {fhe} followed {name} past <landmark> to {home_place}. There [sat|lay]"
        ' @ {animal} with <number> little ones, <warm> as <buns2>. "<Oh>!" <said> {friend} <voice>. {name} turned'
        ' round <slowly>. "[You must not tell|Please tell nobody|It is a secret]," {he} said. "The [dogs|boys|hunters]'
        ' would [frighten|chase|wake] them." "[I promise|Not a word|You can trust me]," {friend} <said>. {Fhe} [held out'
        "|gave them] <number> {food}, and the {animal} made {sound}.\n\n",
        "[From then on|After that] they [went|came] together. {name} brought the {food} and {friend} brought [<taste>"
        " water|dry hay|@ <colour> blanket|@ <look> <box>]. [They worked <slowly> and spoke <voice>|They hardly spoke]."
        " [Once|On <day>|One <part>] {his} {relative} asked {him} [why his hands smelled so|where all the {food} went],"
        " [but {he} only smiled|but {he} said nothing|and {he} became <colour> in the face].",
        " <Later> the little ones [were big|were strong|could walk], and the whole family [came|marched] past <landmark>"
        ' in [a row|the <light>]. <Person> [stopped|stared] and <said>, "[Whose|What] [are these|is this]?"',
        " {name} and {friend} [looked at each other|smiled] and kept their secret.",
    ),
    "learn": (
        " More than anything, {he} wanted to [become|be] @ [good|real|great] {dream} [one day|some day|like {dmaker}].",
        ' [So on|On] <day> {he} <walked> to {dvillage} with @ <box> of <food> and asked <voice>, "[Will you|Could you|Please,'
        ' will you] teach me?" {dmaker} [put down|laid aside] {dhis} {dtool}. "<Yes>," {dhe} said. "[You can|You may|Let us]'
        " [begin|start] with @ ",
        "=task",
        '."\n\nThe first {thing} was [as <bad> as @ <look> <tool>|<bad> and <bad2>|too <bad>]. The second [broke|fell apart]'
        " [on the way to <landmark>|before <meal>|when @ [hen|goat|child] looked at it]."
        ' "<Oh>," {he} <said> <voice>. "[I will never learn it|My hands are too slow|What am I doing wrong]?"'
        ' {dmaker} [laughed|smiled]. "[My first {thing}|The first one I made] was eaten by [<number> <herd>|@ <herd1>]," {dhe}'
        ' said. "[Try again|Once more], and [hold your breath|count to <ten>|think of @ <look> <tool>|sing]."\n\n',
        "For <number> days {name} [practised|tried|worked] [from morning to evening|until {his} fingers were <dirty>|after"
        " school]. [{Pet_name} the {pet} [watched|slept] <spot>. |<Meal> was <dish>, every day. |]In the end there stood a"
        " {thing} of {material}, [straight and strong|<fine> and <fine2>|without a fault]. [Even {dmaker}|{dmaker}] [had"
        ' nothing to say|turned it over <number> times] and then <said>, "[This is good work|I could not do it better|You'
        ' have the hands of @ {dream}]."',
        " {name} was <glad>. <Evening> {he} gave the {thing} to {his} {relative}, [who used it for {use}|for it was good for"
        " {use}] [all that {season}|as long as it lasted|every day]. [And the|The] first one, the <bad> one, [stands|is kept]"
        " [in the <room> at home|beside {his} bed] to this day.",
    ),
}

# An entry has openings, then some of its parts in any order, each once, then its ending. The second opening tells
# the first part's fact already, so that part is left out.
ENTRIES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "animals": (
        " is [a {coat} animal|an animal with a {coat} coat], about [as big as|the size of] {size}."
        "| is [an animal|a wild animal|a small wonder] that lives {home}.",
        (
            "[Its home is|You can find it|It lives|Its nest is] {home}, where <person>[, <ago>,| once]"
            " [counted|saw] <many> of them[| on one <part>| within <number> days].",
            "[It feeds on|It eats|Its favourite food is|It likes] {food}, [which it finds {field}|such as grow {field}]"
            "[.|, and in a good year it [hides|stores|eats] <many> of them in one <part>.]",
            "[It comes out|It wakes|It leaves its home|You may see it] {hour}[.|, [often|usually] with"
            " <number> others.|, and then it goes [past|round] <landmark>.]",
            "[When it is <glad>, it makes|A <glad> {animal} makes|Its voice is] {sound}, which [can be heard|carries] as"
            " far as <landmark>[.| on @ <autumn> <part>.]",
            "[It is known for|It is good at|People praise it for] {skill}. <Ago>, one [helped|surprised|followed] <person>"
            " near <landmark>.",
            "[In winter it|When the snow comes, it|During the cold months it] {winter}.",
        ),
        "[The children of|The people of|An old song from] <village> [call|calls] it <kind> and <kind2>[.|, but <kind3>.]",
    ),
    "plants": (
        " is a plant with {flower} flowers.| is a plant that grows {field}.",
        (
            "[It grows|It is found|One finds it] {field}, where <person>[, <ago>,| once] counted <many> of them[| in one <part>].",
            "[Its {food} are ripe|Its {food} are gathered|One can pick its {food}] in {ripe}. <Ago>, <person> [filled|brought"
            " home] <number> <boxes> near <landmark>.",
            "[The {food} are made into|People turn the {food} into|In the kitchen the {food} become] {made_into}, [which|and"
            " that] [goes well|is served|tastes best] with <taste> <dish> and <taste> <cakes>.",
            "[Animals such as the {eater} live on it|The {eater} eats from it|It is a favourite of the {eater}], and <ago>"
            " <number> of these animals [emptied|visited] @ <look> garden near <landmark>.",
            "[Children|Painters|Poets] [like|love] its flowers, which are {flower}, and <person> of <village>[, <ago>,| once]"
            " made a picture of <many> of them.",
        ),
        "[A branch of it|A little of its wood|Its scent], [it is said|they say in <village>], [keeps <weather> away|brings"
        " good dreams|helps against a cold|calms @ <look2> <herd1>].",
    ),
    "villages": (
        " is a village {site}.| is a village with {sight}.",
        (
            "[Its pride is|Travellers remember it for|Everyone knows it for] {sight}. <Ago>, <person> climbed [on it|up"
            " there] to look for <number> <beast> <herd>.",
            "[The market is held|Market day is|There is a market] on {day}, and <food>, <colour> <clothing>s and <taste>"
            " <cakes> are sold [there|from <part> to <part2>].",
            "[Each year it celebrates|It holds|Its people look forward to] {feast}, and <ago> <many> [guests|strangers|children]"
            " came, and ate <number> <boxes> of <taste> <food>.",
            "[Among its people is|One of its people is|In it works] {maker} the {craft}, who <ago> made <number> <wares> for"
            " <person>.",
            "[Children such as|Some of its children are|Its children include] {child} and {child2}[.|, who know every <path> to"
            " <landmark>.|, and on @ <autumn> <part> one may meet them near <landmark>.]",
        ),
        "[The road|The shortest way] [there|to it] [leads|goes] past <landmark>, and it is <way> and <way2>.",
    ),
    "children": (
        " is a [child|{boy}] who lives in {village}.| is the owner of {pet_name}, a {pet_coat} {pet}.",
        (
            "[{His} pet is|{He} has|At {his} side one sees] a {pet_coat} {pet} [called|named] {pet_name}, which <ago> [ate"
            " <number> <food>|hid|ran off] <spot>.",
            "[At home|In {his} house] {he} [lives|shares the rooms] with {his} {relative}, and [{he} likes to|on @ <autumn> <part>"
            " {he} will] <wash> <roots> [there|with <person>][.|, or <bake> <cakes>.]",
            "[{His} greatest treasure is|{He} owns|{He} is proud of] a {thing} of {material}, which <ago> fell into @ <look> <tool>"
            " [near|in front of] <landmark>.",
            "[{He} wants to become|{He} dreams of becoming|One day {he} will be] a {dream}, as <person> of <village> <said2>.",
            "[{His} village is|{He} was born in|{His} home is] {village}, and {he} once [counted|met] <many> <herd> on the"
            " way to <landmark>.",
        ),
        "[{His} friends|People|Those who know {him}] [call|find] {him} <kind> and <kind2>[.|, but <kind3>.]",
    ),
    "makers": (
        " is the {craft} of {mvillage}.| is the maker of every {made} in the six villages.",
        (
            "[{Mhe} works|{Mhe} lives|{Mhis} workshop is] in {mvillage}, near <landmark>, where <person>[, <ago>,| once] waited"
            " <number> hours for {mhim}.",
            "[With {mhis} {tool} {mhe} makes|{Mhe} makes|From {mhis} hands comes] many a fine {made}, and <ago> {mhe} sold"
            " <many> of them [for <big> <price>|to <person>].",
            "[Nobody touches {mhis} {tool}|{Mhis} {tool} is never lent|{Mhe} cleans {mhis} {tool} each day], since <ago>"
            " <person> [dropped it|lost it|left it] <spot>.",
            "[Among those who want to learn from {mhim} is|{Mhis} best pupil is|{Mhe} teaches] {pupil}, whose first work was"
            " <bad> and <bad2>.",
        ),
        "[In {mhis} window|On {mhis} shelf|By {mhis} door] [one sees|stand] <number> <wares>, and [people say|they say] {mhe} is"
        " <kind> and <kind2>.",
    ),
    "things": (
        " is a useful thing made of {material}.| is a work of {maker} the {craft}.",
        (
            "[It is made by|It comes from|One orders it from] {maker} the {craft} of {mvillage}, and <ago> <person> [paid|gave]"
            " <big> <price> for one.",
            "[It is good for|It is used for|People need it for] {use}, and <person> of <village>[, it is said,|] has <number>"
            " of them[| in the <room>| beside the <light>].",
            "[Only {material} is used|{Material} is what it needs|The best ones are all {material}], [bought|brought] from"
            " <village> in <boxes>, and <ago> [it took <number> days|<number> people helped] to make <many>.",
            "[A new one shines|The look of it is plain|It does not break], but <ago> one that had [lain|been] <spot> was"
            " <dirty> and <dirty2>.",
            "[Children such as {owner} own one|{Owner} has one|The one that belongs to {owner} is famous], and <ago> it was"
            " [borrowed by|shown to] <person> for <number> days.",
        ),
        "[A good one|Well kept, it] [lasts|serves] for <many> years, [as long as|if] [nobody leaves it|it is not left] <spot>.",
    ),
    "seasons": (
        " is the season of {its_weather}.| is the season when people {work}.",
        (
            "[In the villages people|Everyone has to|Those who have fields] {work}, and <ago> <person> of <village> worked"
            " <many> days without rest.",
            "[Ripe are then|The gardens give|People gather] {its_food}, and <box2> of them are carried past <landmark> on"
            " @ <autumn> <part>.",
            "[{Its_weather} is common|One often has {its_weather}|Nobody is surprised by {its_weather}], and <ago> it"
            " lasted for <many> days in <village>.",
            "[Children wear|On the roads one sees|The tailor sells] <colour> <clothing>s and <colour2> <clothing2>, and <taste> <cakes> are sold <spot>.",
        ),
        "[It ends|It is over] when the <herd> [come|return] to the <roofs> and the <path> is <way> again.",
    ),
    "weather": (
        " is the weather of {season}.| is the weather that {does}.",
        (
            "[As a rule it|More than anything it|Sooner or later it] {does}, and <ago> <person> was <sad> because of it.",
            "[When it comes, people|Those who are wise|Then the villagers] {people}, while <number> <beast> <herd> [wait|sleep]"
            " <spot>.",
            "[It is expected|It comes|One meets it] in {season}, most often in the <part>, and <ago> it lasted <number> days in"
            " <village>.",
            "[Old people feel it in|One can smell it in|They say it begins in] the <roofs>, and <person> <said2> that it"
            " [cost|brought] <him2> <big> <price>.",
        ),
        "[A song about it|A story about it|A picture of it] [was made|is known] in <village>, where it is called <kind>.",
    ),
}

# What can be asked about: facts with at least four values.
CLOZES: dict[str, tuple[str, ...]] = {
    "animals": ("home", "food", "hour", "sound", "skill", "winter", "size"),
    "plants": ("field", "food", "ripe", "made_into", "eater"),
    "villages": ("site", "sight", "feast", "day", "maker"),
    "children": ("village", "pet", "pet_name", "relative", "thing", "dream"),
    "makers": ("mvillage", "made", "tool", "pupil"),
    "things": ("material", "maker", "use", "owner"),
    "seasons": ("work", "its_food", "its_weather"),
    "weather": ("does", "people", "season"),
}

# right~wrong is one word and its faulty form, a%b two words that must not change places; articles are made wrong by code.
PAIRS: dict[str, str] = {
    "agreement": "[The <herd> <near> <landmark> are~is <state>.|The <colour> <clothing> <near> <landmark> is~are <state>."
    "|<Number> <beast> <herd> were~was <resting> <spot>.|One of the <herd> was~were <resting> <spot>."
    "|{Name} and {his} {relative} were~was waiting near <landmark>.|The <cakes> in the <box> were~was <taste>."
    "|The <tool> behind the <roofs> was~were <state>.]",
    "pronoun": "[{Name} put on {his}~{other_his} <clothing> and <walked> to <landmark>.|{Name} was helping {his}~{other_his}"
    " {relative} to <mend> @ <look> <tool>.|{Name} was so <glad> that {he}~{other_he} <walked> home singing."
    "|{Name} sat <spot>, with {pet_name} the {pet} beside {him}~{other_him}."
    "|{Name} <walked> home <slowly>, because {he}~{other_he} was <sad>.]",
    "article": "[{Name} was sitting on @ <look> <seat> <near> <landmark>.|There was @ <look> <tool> <spot>."
    "|{His} {relative} had @ <colour> <clothing>.|{Name} found @ <look> <tool> and took it home.]",
    "order": "[{Name} found the <look>%<tool> <spot>.|{Name} ate the <taste>%<cakes> <spot>."
    "|The <beast>%<herd> were <resting> <spot>.|{Name} lost {his} <colour>%<clothing> <near> <landmark>.]",
    "tense": "[{Name} was watching~watched the <herd> <spot>.|{Name} did not find~found the <look> <tool>."
    "|{Name} wanted to help~helped {his} {relative}.|{Name} could hear~heard the <herd> <spot>."
    "|The <tool> had fallen~fall <spot>.]",
}
