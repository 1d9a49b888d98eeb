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
    "[, who lived in {village} with {his} {relative},*2|, one of the children of {village},|*3] was "
    "[<feeding> {pet_name} the {pet_coat} {pet} <spot>*3"
    "|helping {his} {relative} to [<wash> <number> <look> <roots>|<bake> <number> <taste> <cakes>|<mend> @ <look>"
    " <tool>]*3"
    "|<tidying> the <room> with @ <look> [broom|brush|cloth]"
    "|sitting on @ <look> <seat> near <landmark>, <eating> <taste> <cakes>*2"
    "|watching <number> <beast> <herd> <resting> <spot>*2"
    "|carrying @ <box> of <taste> <food> [home from|past|to] <landmark>*2"
    "|<waiting> for {his} {relative} near <landmark>, with {pet_name} the {pet_coat} {pet} beside {him}]."
)

NATURE = {
    "spring": "[ The <roofs> were wet with rain.| <Colour> flowers stood <spot>.| <Event>.*2|*4]",
    "summer": "[ The <roofs> were hot in the sun.| The <colour> flowers were dry.| <Event>.*2|*4]",
    "autumn": "[ The wind <shook> the <roofs>.| <Colour> leaves lay <spot>.| <Event>.*2|*4]",
    "winter": "[ Snow <covered> the <roofs>.| Ice had formed <spot>.| <Event>.*2|*4]",
}
GATHERING = " [So|At once|Without delay] {name} <picked> @ <box> of {food} {field}"
FETCHING = " [So|At once|Without delay] {name} <took> @ <box> of <stored> {food} from the <room>"
ROAD = " and <walked> <slowly> <along> the <way> <path> to {home_place}."

PLOTS: dict[str, tuple[str, ...]] = {
    "lost": (
        " <Then> {he} [noticed|saw|found out] that {his} {thing} was <gone>.",
        " {maker} the {craft} had made it of {material}, and {he} <loved> it more than {his} <colour> <clothing>."
        " {He} <looked> <spot>, but <found> only <odds>.\n\n",
        '"<Oh>!" {he} <said> <sad_voice>. "[Where can it be|What shall I do|Who can help me] now?" {His}'
        ' {relative} put down @ <look> <tool> and <said>, "[Ask|Go and ask|You could ask] the ',
        "=animal",
        '. It lives {home}, and it [sees|hears|notices] every <look> <tool>. But [take|bring] it some {food}!"',
        "=gathering",
        ROAD + '\n\nThe {animal} <ate> the {food} <slowly> and made {sound}. "Your {thing}?" it <answered> <voice>. "I'
        ' <spied> it <when> <spot>, and <number> <beast> <herd> were <resting> there." {name} <walked> back <slowly>.'
        " There it"
        " was, <state> but [whole|not broken|unharmed]. How <glad> {he} was!",
        " <Evening> {he} [hung|put|laid] the {thing} <by> the <look> <light>, and [every {season}|once a week|from"
        " then on]"
        " {he} <took> the {animal} @ <box> of {food}.",
    ),
    "wish": (
        " <Weeks> {he} had <wished>",
        " @ ",
        "=wish",
        " of {material}, like the one that {maker} the {craft} had made for <person>. But it cost <many> <price>,"
        " and in"
        " {his} <look> <box_name> there were only <number>.\n\n",
        '"<May> I work for it?" {he} asked {maker} <voice>. "<Yes>," {mhe} <answered>. "Come on <day>." So {name}'
        " <walked> to"
        " {mvillage} with {his} <look> <tool>.<sight> First {he} <washed> <big> <wares>, then {he} <fixed> the"
        " <room>, and"
        " in the end {mhe} let {him} hold {mhis} {tool}. {His} <limbs> <hurt>, but {he} never stopped.\n\n",
        '<Later> {maker} <opened> @ <look> [box|cupboard|chest] and <took> out the {thing}. "[You have earned it'
        "|It is yours"
        '|This is for you]," {mhe} <said> <voice>. {name} was so <glad> that {he} <walked> home <singing>.',
        " <Evening> it stood <by> the <look> <light>, ready for {use}, and {pet_name} the {pet} <slept> <slowly>"
        " beside it.",
    ),
    "quarrel": (
        " {His} friend ",
        "=friend",
        " <walked> over from <landmark> with <odds>. They <played> <spot>, until {friend} <reached> {name}'s"
        " {thing}.\n\n",
        '"[It is mine|That is my {thing}|Leave it alone]!" {name} <cried>. "You [never share|are not fair|are'
        ' <bad_child>]!"'
        " {friend} <cried>. They both pulled, and [down it fell|it flew away and landed] <spot>. Now the"
        " {material} was <dirty>"
        " and <dirty2>. {friend} <left> home <sadly> with @ <colour> face, and {name} stood there, <sad> and"
        " <sad2>.\n\n",
        'All that <part> the <room> seemed <dark_room>, and even the <dish> tasted of nothing. "You can [mend'
        '|clean|wash] @ {thing},"'
        ' <said> {his} {relative}, who was <mending> @ <look> <tool>. "[A friend is harder to mend|But who will'
        ' [mend|save] a friendship|But a {thing} cannot laugh with you]." {name} lay <by> the <look> <light> and'
        " thought about"
        " it.\n\n",
        '<Later> {he} <took> the {thing} to {friend}, with <gift>. "I am <sorry>," {he} <said> <sad_voice>. "[So'
        " am I|I missed"
        ' you|And I was <bad_child>]," {friend} <answered>, and gave {him} <number> <taste> <cakes>. They were'
        " <glad> again.",
        " Since then the {thing} has [belonged to both|stood <by> the <look> <light> of {name} one week and of"
        " {friend} the next"
        "|been kept in @ <look> box for {name} and {friend} together].",
    ),
    "help": (
        " From behind @ <scene_look> <scene> came @ <weak> <cry>.",
        " It was @ ",
        "=animal",
        ', <stuck> under @ <look> <tool>. "[Please help me|Oh, help|Take me home]," it <said> <voice>. "I live'
        " {home}, and my"
        ' <limb> <hurts>."\n\n',
        "{name} was not afraid. {He} <pushed> the <look> <tool> aside, wrapped the {animal} in {his} <colour>"
        " <clothing> and"
        " <took> it home to {home_place}, past <landmark> and <along> the <way> <path>.",
        "=gathering",
        ", for nothing tastes better to @ {animal}. It <ate> <number> of them <slowly> and made {sound}.\n\n",
        "<Later> {name} lost {his} way <spot>, with <gift>. {He} was <sad> and <sad2>."
        ' <Then> {he} heard {sound}. "[Follow me|Come with me|This way]," <said> the {animal} <voice>. "[You'
        " carried me home|You helped me"
        " once|I know"
        ' you]." They <walked> past <number> <beast> <herd>, until they saw the <look> <roofs> of {village}.',
        " {His} {relative} was waiting with <dish> and <number> <taste> <cakes>. [The next day|On <day>] there"
        " [was|stood] @ <box>"
        " of {food} {home}.",
    ),
    "storm": (
        " <Dark> clouds <rolled> over <landmark>, and <then> thunder <shook> the <roofs>. {Pet_name} the {pet} ran"
        " away"
        " <slowly2>.\n\n",
        '"{pet_name}! {pet_name}!" {name} <cried>, but [only the wind answered|nobody answered|the storm was'
        " louder]. {He} <walked> after the {pet}, past <landmark> and <along> the <way> <path>."
        " {He} <looked> <spot>, but <found> only <odds>. [At last|In the end], <sad> and"
        " <dirty>, {he} came to the home of the ",
        "=animal",
        ", {home}.\n\n",
        '"<Come>," the {animal} <said> <voice>, and made {sound}. And who sat there, <state> but safe? {Pet_name}!'
        ' "[It came|I'
        ' found it|I met it] <spot>," said the {animal}, "and it was <sad>." {name} <hugged> {his} {pet}. Together'
        " they counted to <many> and ate <number> <taste> <cakes>.\n\n",
        "Then the lanes were full of mud, and @ <look> [tree|fence|cart|roof] lay <spot>. {name} <walked> home"
        " <slowly>,"
        " where {his} {relative} <cooked> <dish> with <number> <taste> <cakes>.",
        " <Later> they <took> the {animal} @ <box> of {food} and @ <look> <tool>.",
    ),
    "market": (
        " It was market day in ",
        "=town",
        ', and {his} {relative} gave {him} <big> <wares>:goods to sell. "Bring <number> <look> <wares>:shopping'
        " and @ <box> of"
        ' <food>," {rhe} <said>. {name} <walked> <slowly> <along> the <way> <path> to {town}.\n\n',
        "There were <taste> <cakes>, <colour> <clothing>s and <number> <beast> <herd>, and behind the stalls stood"
        " {sight}."
        " {name} sold the {goods} to <person> for <big> coins. [But on|On] the way back {he} <found> @ ",
        "=animal",
        " <spot>, <sad> and <state>. So {he} turned round and spent <number> coins on @ <box> of {food}. The"
        " {animal} <ate> them <slowly> and made {sound}.\n\n",
        "It grew dark, and {name} lost the <way> <path>. <Then> somebody came from behind @ <scene_look>"
        ' <scene>: the {animal}! Past <landmark> it <took> {him} home to {village}. "And the other coins?" asked'
        ' {his} {relative}, and counted the {shopping}. "I bought a [friend|guide] with them," {name} <answered>'
        " <voice>.",
        " <Evening> they ate <dish> and <number> <taste> <cakes>, and spoke of the {animal} that lives {home}.",
    ),
    "secret": (
        " Nobody [in {village}|at home|at school] knew {his} secret. [Each|Every] <part> {he} hid @ <box> of ",
        "=food",
        " under {his} <colour> <clothing> and <walked> <slowly> <along> the <way> <path>.\n\n",
        "{His} friend ",
        "=friend",
        " <spied> it, and on <day> {fhe} followed {name} past <landmark> to {home_place}. There, <by> @ <look>"
        " <tool>, lay @ {animal} with <number> <beast>"
        ' little ones. "<Oh>!" {friend} <said> <voice>. {name} turned round <slowly>. "[Tell nobody|Please tell'
        " nobody|Say"
        ' nothing]! The <herd> would <frighten> them." "<Promise>," {friend} <answered>, and gave them <number>'
        " {food}. The {animal}"
        " made {sound}.\n\n",
        "From then on they came together. {name} brought the {food}, and {friend} brought <gift>. On <day> {his}"
        ' {relative}, who was <mending> @ <look> <tool>, <said>, "Where do all the {food} go?" {name} became'
        " <colour> in the"
        ' face. "I <like> them so much," {he} <answered> <voice>.',
        " <Later> the little ones were <big_now>, and the whole family <walked> past <landmark>. <Person> dropped"
        " @ <look> <tool>"
        ' and cried, "<Oh>!" [But {name}|{name}] and {friend} [looked at each other|smiled] and kept their secret.',
    ),
    "learn": (
        " More than anything, {he} wanted to <become> @ <great> {dream}.",
        ' On <day> {he} <walked> to {dvillage} with <gift> and asked <voice>, "Will you teach me?" {dmaker} put'
        " down {dhis}"
        ' {dtool}. "<Yes>," {dhe} <answered>. "[Begin|Start] with @ ',
        "=task",
        '."\n\nThe first {thing} was <bad> and <bad2>. The second broke on the way to <landmark>, when <event>.'
        ' "<Oh>," {he}'
        ' <said> <sad_voice>. "[I will never learn it.|My hands are too slow.|What am I doing wrong?]" {dmaker}'
        ' smiled. "My first {thing}'
        ' was eaten by <number> <beast> <herd>," {dhe} <said>. "Try again, and think of @ <look> <tool>."\n\n',
        "For <number> days {name} <practised>, while {pet_name} the {pet} slept <spot>. In the end"
        " there stood a {thing} of {material}, <fine> and <fine2>. {dmaker} turned it over <number> times and"
        ' <said>, "You'
        ' have the hands of @ <great> {dream}."',
        " {name} was <glad>. <Evening> {he} gave the {thing} to {his} {relative}, for it was good for {use}. The"
        " first one, the"
        " <bad> one, still stands <by> the <look> <light>.",
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
            " <counted> <many> of them <spot>.",
            "[It feeds on|It eats|Its favourite food is|It likes] {food}, [which it finds {field}|such as grow"
            " {field}]"
            "[.|, and <ago> one ate <many> of them in @ <look> <scene>.]",
            "[It comes out|It wakes|It leaves its home|You may see it] {hour}[.|, [often|usually] with"
            " <number> others.|, and then it goes [past|round] <landmark>.]",
            "[When it is <glad>, it makes|A <glad> {animal} makes|Its voice is] {sound}, which [can be heard"
            "|carries] as"
            " far as <landmark>[.| on @ <autumn> <part>.]",
            "[It is known for|It is good at|People praise it for] {skill}. <Ago>, one [helped|surprised|followed"
            "|met] <person>"
            " <spot>.",
            "[In winter it|When the snow comes, it|During the cold months it] {winter}, and <ago> <person> found"
            " one <spot>.",
        ),
        "[The children of <village> call|The people of <village> call|An old song from <village> calls] it <kind>"
        " and <kind2>[.|, but <kind3>.]",
    ),
    "plants": (
        " is a plant with {flower} flowers.| is a plant that grows {field}.",
        (
            "[It grows|It is found|One finds it] {field}, where <person>[, <ago>,| once] <seen> <many> of them <spot>.",
            "[Its {food} are ripe|Its {food} are gathered|One can pick its {food}] in {ripe}. <Ago>, <person>"
            " [filled|brought"
            " home] <number> <boxes> near <landmark>.",
            "[The {food} are made into|People turn the {food} into|In the kitchen the {food} become] {made_into},"
            " best eaten with <dish> and <number> <taste> <cakes>.",
            "[Animals such as the {eater} live on it|The {eater} eats from it|It is a favourite of the {eater}],"
            " and <ago>"
            " <number> of these animals [emptied|visited] @ <look> garden near <landmark>.",
            "[Children|Painters|Poets] [like|love] its flowers and leaves, and <person>[, <ago>,| once]"
            " made a picture of <many> of them.",
        ),
        "[A branch of it|A leaf of it|Its scent], [it is said|they say in <village>], [keeps <weather>"
        " away|brings"
        " good dreams|helps against a cold|calms @ <look2> <herd1>].",
    ),
    "villages": (
        " is a village {site}.| is a village with {sight}.",
        (
            "[Its pride is|Travellers remember it for|Everyone knows it for] {sight}. <Ago>, <person> came"
            " with <number> <beast> <herd> to look at it.",
            "[The market is held|Market day is|There is a market] on {day}, and <food>, <colour> <clothing>s and"
            " <taste>"
            " <cakes> are sold [there|from <part> to <part2>].",
            "[Each year it celebrates|It holds|Its people look forward to] {feast}, and <ago> <many> [guests"
            "|strangers|children]"
            " came, and ate <number> <boxes> of <taste> <food>.",
            "[Among its people is|One of its people is|In it works] {maker} the {craft}, who <ago> made <number>"
            " <wares> for"
            " <person>.",
            "[Its children are called|Some of its children are|Its children include] {child} and {child2}, and"
            " <ago> they found @"
            " <look> <tool> <spot>.",
        ),
        "<Ago>, the road to it was so <way> that <person> turned back near <landmark>.",
    ),
    "children": (
        " is one of the children of the six villages.| is the owner of {pet_name}, a {pet_coat} {pet}.",
        (
            "[{His} pet is|{He} has|At {his} side one sees] a {pet_coat} {pet} [called|named] {pet_name}, which"
            " <ago> [ate"
            " <number> <food>|hid|ran off] <spot>.",
            "[At home|In {his} house] {he} [lives|shares the rooms] with {his} {relative}, and [{he} likes to|on @"
            " <autumn> <part>"
            " {he} will] <wash> <roots> [there|with <person>][.|, or <bake> <cakes>.]",
            "[{His} greatest treasure is|{He} owns|{He} is proud of] a {thing} of {material}, which <ago> fell"
            " from @ <scene_look> <perch>"
            " <spot>.",
            "[{He} wants to become|{He} dreams of becoming|One day {he} will be] a {dream}, as <person> <said2>.",
            "[{His} village is|{He} was born in|{His} home is] {village}, and {he} once [counted|met] <many>"
            " <herd> on the"
            " way to <landmark>.",
        ),
        "[{His} friends|People|Those who know {him}] [call|find] {him} <kind> and <kind2>[.|, but <kind3>.]",
    ),
    "makers": (
        " is a master {craft}.| is the maker of every {made} in the six villages.",
        (
            "[{Mhe} works|{Mhe} lives|{Mhis} workshop is] in {mvillage}, where <person>[, <ago>,| once] waited"
            " <number> hours for {mhim} near <landmark>.",
            "[With {mhis} {tool} {mhe} makes|{Mhe} makes|From {mhis} hands comes] many a fine {made}, and <ago>"
            " {mhe} sold"
            " <many> of them [for <big> <price>|to <person>].",
            "[Nobody touches {mhis} {tool}|{Mhis} {tool} is never lent|{Mhe} cleans {mhis} {tool} each day], since"
            " <ago>"
            " <person> [broke|scratched|dropped] one <spot>.",
            "[Among those who want to learn from {mhim} is|{Mhis} best pupil is|{Mhe} teaches] {pupil}, who <ago>"
            " mended @ <look> <tool> for <person>.",
        ),
        "[In {mhis} window|On {mhis} shelf|By {mhis} door] [one sees|stand] <number> <wares>, and [people say|they"
        " say] {mhe} is"
        " <kind> and <kind2>.",
    ),
    "things": (
        " is [an old|a simple|a useful] thing that every house [has|needs].| is a work of {maker} the {craft}.",
        (
            "[It is made by|It comes from|One orders it from] {maker} the {craft} of {mvillage}, and <ago>"
            " <person> [paid|gave]"
            " <big> <price> for one.",
            "[It is good for|It is used for|People need it for] {use}, and <person>[, it is said,|] has <number>"
            " of them[| in the <room>| beside the <light>].",
            "[Only {material} is used|{Material} is what it needs|The best ones are all {material}], and <ago>"
            " <number> <boxes> of it were [bought|brought] from <village> to make <many>.",
            "[A new one shines|The look of it is plain|It does not break], but <ago> one that had [lain|been]"
            " <spot> was"
            " <dirty> and <dirty2>.",
            "[Children such as {owner} own one|{Owner} has one|The one that belongs to {owner} is famous], and"
            " <ago> it was"
            " [borrowed by|shown to] <person> for <number> days.",
        ),
        "[One of them|A good one] [served|lasted] <person> for <many> years, because it was never left <spot>.",
    ),
    "seasons": (
        " is one of the four seasons.| is the season when people {work}.",
        (
            "[In the villages people|Everyone has to|Those who have fields] {work}, and <ago> <person> worked"
            " <many> days without rest.",
            "[Ripe at this time are|The gardens give|People gather] {its_food}, and <box2> of them are carried"
            " past <landmark> on"
            " @ <autumn> <part>.",
            "[{Its_weather} is common|One often has {its_weather}|Nobody is surprised by {its_weather}], and <ago> it"
            " lasted for <many> days in <village>.",
            "[Children wear|On the roads one sees|The tailor sells] <colour> <clothing>s and <colour2>"
            " <clothing2>, and <taste> <cakes> are sold <spot>.",
        ),
        "[It ends|It is over] when the <herd> [come|return] to the <roofs> and the <path> is <way> again.",
    ),
    "weather": (
        " is [a kind of weather|weather] that everyone knows.| is the weather that {does}.",
        (
            "[As a rule it|More than anything it|Sooner or later it] {does}, and <ago> <person> was <sad> because"
            " of it.",
            "[When it comes, people|Those who are wise|Then the villagers] {people}, while <number> <beast> <herd>"
            " [wait|sleep]"
            " <spot>.",
            "[It is expected|It comes|One meets it] in {season}, most often in the <part>, and <ago> it lasted"
            " <number> days in"
            " <village>.",
            "[Old people feel it in|They say it begins in|One can smell it in] <bones>, and <person> <said2> that it"
            " [cost|brought] <him2> <big> <price>.",
        ),
        "[A song about it|A story about it|A picture of it] [was made|is known] in <village>, where it is called"
        " <kind>.",
    ),
}

# What can be asked about: facts with at least four values, of which each topic has one. (A village can have two makers,
# a plant two eaters: there a false ending could be true.)
CLOZES: dict[str, tuple[str, ...]] = {
    "animals": ("home", "food", "hour", "sound", "skill", "winter", "size"),
    "plants": ("field", "food", "ripe", "made_into"),
    "villages": ("site", "sight", "feast", "day"),
    "children": ("village", "pet", "pet_name", "relative", "thing", "dream"),
    "makers": ("mvillage", "made", "tool"),
    "things": ("material", "maker", "use"),
    "seasons": ("work",),
    "weather": ("does", "people", "season"),
}

# right~wrong: a word and its faulty form; a%b: two words that must not change places. Code makes articles wrong.
PAIRS: dict[str, str] = {
    "agreement": "[The <herd> <near> <landmark> are~is <state>.|The <colour> <clothing> <near> <landmark> is~are"
    " <state>."
    "|<Number> <beast> <herd> were~was <resting> <spot>.|One of the <herd> was~were <resting> <spot>."
    "|{Name} and {his} {relative} were~was waiting near <landmark>.|The <cakes> in the <box> were~was <taste>."
    "|The <tool> behind the <roofs> was~were <state>.]",
    "pronoun": "[{Name} put on {his}~{other_his} <clothing> and <walked> to <landmark>.|{Name} was helping"
    " {his}~{other_his}"
    " {relative} to <mend> @ <look> <tool>.|{Name} was so <glad> that {he}~{other_he} <walked> home singing."
    "|{Name} sat <spot>, with {pet_name} the {pet} beside {him}~{other_him}."
    "|{Name} <walked> home <slowly>, because {he}~{other_he} was <sad>.]",
    "article": "[{Name} was sitting on @ <look> <seat> <near> <landmark>.|There was @ <look> <tool> <spot>."
    "|{His} {relative} had @ <colour> <clothing>.|{Name} found @ <look> <tool> and took it home.]",
    "order": "[{Name} found the <look>%<tool> <spot>."
    "|The <beast>%<herd> were <resting> <spot>.|{Name} lost {his} <colour>%<clothing> <near> <landmark>.]",
    "tense": "[{Name} was watching~watched the <herd> <spot>.|{Name} did not find~found the <look> <tool>."
    "|{Name} wanted to help~helped {his} {relative}.|{Name} could hear~heard the <herd> <spot>."
    "|The <tool> had fallen~fall <spot>.]",
}
